"""The CLIP backbone, its low-rank adaptation, the Video Contextualizer, and the public model."""
