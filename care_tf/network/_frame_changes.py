"""How much of the image an operation cuts off, or adds by padding."""

import tensorflow as tf

from care_tf.network._axes import Axes, side_sizes
from care_tf.network._axis_selections import SELECTIONS, entry_of, is_whole, kept_indices
from care_tf.network._operation_kinds import PADS


def is_padding(operation: tf.Operation) -> bool:
    """Whether an operation pads."""
    return operation.type in PADS


def share_cut(operation: tf.Operation, axes: dict[str, Axes]) -> float:
    """The largest share of the rows or columns that an operation leaves out, 1 where that is not known.

    Every second entry stands for two: a stride leaves nothing out between the first and the last.
    """
    if operation.type == "CropAndResize":
        return 1.0
    if operation.type not in SELECTIONS:
        return 0.0
    tensor = operation.inputs[1] if operation.type == "Split" else operation.inputs[0]
    sides = side_sizes(axes.get(tensor.name, ()))
    used = [output for output in operation.outputs if output.consumers()]
    return max((_cut(operation, output, place, size) for output in used for place, size in sides.items()), default=0.0)


def share_added(operation: tf.Operation, axes: dict[str, Axes]) -> float:
    """The largest share of the padded rows or columns that an operation adds, 1 where that is not known.

    0 for less than the window of the next convolution or pooling: that is what is padded for.
    """
    sides = side_sizes(axes.get(operation.inputs[0].name, ())) if is_padding(operation) else {}
    paddings = tf.get_static_value(operation.inputs[1]) if sides else None
    shares = [0.0]
    for place, size in sides.items():
        added = None if paddings is None else int(sum(paddings[place]))
        if added is None or added >= _next_window(operation.outputs[0], place):
            shares.append(1.0 if added is None or size is None else added / (size + added))
    return max(shares)


def _cut(operation: tf.Operation, output: tf.Tensor, place: int, size: int | None) -> float:
    """The share of an axis that a selection leaves out before the first entry and after the last."""
    if is_whole(operation, place):
        return 0.0
    kept = kept_indices(operation, output, place, size)
    if kept is None or size is None:
        is_kept = size is not None and output.shape.rank == operation.inputs[0].shape.rank
        return 0.0 if is_kept and output.shape[place] == size else 1.0
    first = kept[0] - kept[0] % kept.step  # every second entry stands for two
    return 1.0 - (min(kept[-1] + kept.step, size) - first) / size


def _next_window(tensor: tf.Tensor, place: int) -> int:
    """Length along an axis of the nearest convolution or pooling that reads a tensor, with its dilation; or else 1."""
    queue, seen = [(tensor, 1)], {tensor.name}
    for read, dilation in queue:
        for operation in read.consumers():
            if operation.type in ("MaxPool", "AvgPool"):
                return operation.get_attr("ksize")[place]
            if operation.type in ("Conv2D", "DepthwiseConv2dNative"):
                first = 2 if operation.get_attr("data_format") == b"NCHW" else 1
                dilation *= operation.get_attr("dilations")[place]
                return (operation.inputs[1].shape[place - first] - 1) * dilation + 1
            is_dilating = operation.type == "SpaceToBatchND"  # TensorFlow's way to dilate
            for output in operation.outputs:
                is_as_long = output.shape.rank == 4 and output.shape[place] == tensor.shape[place]
                if output.name not in seen and (is_as_long or is_dilating):
                    seen.add(output.name)
                    queue.append((output, entry_of(operation.inputs[1], place - 1) or 1 if is_dilating else dilation))
    return 1
