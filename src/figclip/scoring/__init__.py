"""What `figclip score` does: prediction files judged by the official rules."""
