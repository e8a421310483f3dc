"""What is seen: decoding, sampling, pixels, and the store of frames."""
