"""What `figclip index` and `figclip search` do: moments of own videos, found by a sentence."""
