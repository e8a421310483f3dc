"""What `figclip prepare` does: videos decoded once into a frame store."""
