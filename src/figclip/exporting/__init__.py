"""What `figclip export` does: weights that other libraries load, checked by those libraries."""
