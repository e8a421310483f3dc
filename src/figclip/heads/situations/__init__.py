"""The situation recognition head."""
