"""One file a task, on one small interface."""
