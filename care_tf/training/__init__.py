"""Training: the CARE model, its two-stage schedule and runs as lists of stages."""
