"""What is said of videos: annotation files, captions by rule, hard negatives, splits."""
