"""How good boxes are, beside boxes that look at nothing."""
