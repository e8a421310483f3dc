"""The dense captioning head."""
