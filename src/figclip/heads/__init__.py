"""Small fine-tuned heads on frozen features."""
