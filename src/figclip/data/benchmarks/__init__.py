"""Readers of published benchmarks' own files, and of the simple files for anyone's data."""
