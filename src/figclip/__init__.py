"""figclip: teach any CLIP who does what to whom."""
