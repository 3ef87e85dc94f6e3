"""Columns of a manifest that traps write: read where they are asked for, and no mistake elsewhere."""

CUE, PAIR = "cue", "pair"
NOTED_COLUMNS = (CUE, PAIR)
