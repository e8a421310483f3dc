"""The renderer of the mini world: cartoons of situations, the same for the same seed."""
