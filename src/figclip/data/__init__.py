"""Annotations, captions, negatives, video decoding, the frame store and batches."""
