"""A small world that can be drawn anywhere: clips, official annotation files, a small CLIP."""
