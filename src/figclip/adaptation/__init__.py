"""What `figclip adapt` does: a CLIP from its base to its checkpoint and strength."""
