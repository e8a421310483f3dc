"""How anything is trained: the loop, run folders and resuming, losses, batches."""
