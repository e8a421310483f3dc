"""One file per task, on one small interface."""
