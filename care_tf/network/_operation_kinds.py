"""Kinds of TensorFlow's operations that several modules tell apart."""

# These read a shape, not values, and copies of a shape.
SHAPE_ONLY = frozenset({"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"})
PADS = frozenset({"Pad", "PadV2", "MirrorPad"})
