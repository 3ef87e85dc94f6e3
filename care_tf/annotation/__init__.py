"""Boxes for a whole manifest: made, imported, exported, judged."""
