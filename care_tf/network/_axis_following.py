"""The axes of an image followed through a traced forward pass.

What an operation does to the axes is known for those of `_RULES`; any other one keeps them where it keeps the shape.
"""

from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from care_tf.network._axes import SIDES, Atom, Axes, Axis, Shape, axis_size, is_spatial, other_axis, token_grid
from care_tf.network._axis_products import PRODUCTS, multiplied
from care_tf.network._axis_reshapes import reshaped
from care_tf.network._axis_selections import SELECTIONS, selected
from care_tf.network._operation_kinds import PADS

_WINDOWED = frozenset(
    {
        *("Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "MaxPool", "AvgPool"),
        *(
            "ExtractImagePatches",
            "SpaceToDepth",
            "DepthToSpace",
            "SpaceToBatchND",
            "BatchToSpaceND",
        ),
        *("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea", "ScaleAndTranslate"),
    }
)
_REDUCTIONS = frozenset({"Mean", "Sum", "Max", "Min", "Prod", "All", "Any", "EuclideanNorm", "ArgMax", "ArgMin"})
# What they compute is not to be seen from outside.
_OPAQUE = frozenset(
    {
        *("PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile"),
        *("If", "StatelessIf", "Case", "StatelessCase"),
    }
)


def follow_axes(image: tf.Tensor, operations: Iterable[tf.Operation]) -> dict[str, Axes]:
    """Name of a tensor -> what its axes are, () where they cannot be followed.

    Args:
      image: (B, H, W, C), a tensor of a traced graph.
      operations: Those that depend on the image's values, in topological order.
    """
    axes: dict[str, Axes] = {image.name: ()}
    if image.shape.rank == 4:
        batch, height, width, channels = image.shape
        axes[image.name] = (other_axis(batch), (Atom("rows", height),), (Atom("columns", width),), other_axis(channels))
    for operation in operations:
        for index, output in enumerate(operation.outputs):
            found = None if output.shape.rank is None else _axes_after(operation, index, axes)
            axes[output.name] = tuple(
                _resized(axis, size) for axis, size in zip(found or (), output.shape or (), strict=False)
            )
    return axes


def is_opaque(operation: tf.Operation) -> bool:
    """Whether an operation hides what it does with the image, and has no weights that would make it a layer."""
    return operation.type in _OPAQUE and not any(tensor.dtype == tf.resource for tensor in operation.inputs)


def _resized(axis: Axis, size: int | None) -> Axis:
    """The axis with the size that its tensor states."""
    if size is None or axis_size(axis) == size:
        return axis
    if len(axis) == 1 and axis[0].kind in SIDES:
        return (Atom(axis[0].kind, size),)
    return other_axis(size)


def _axes_after(operation: tf.Operation, index: int, axes: dict[str, Axes]) -> Axes | None:
    inputs, output = list(operation.inputs), operation.outputs[index]
    known = [tensor for tensor in inputs if axes.get(tensor.name)]
    if not known:
        return None
    rule = _RULES.get(operation.type)
    if rule is not None:
        return rule(operation, output, axes)
    if operation.type == "IdentityN":
        return axes.get(inputs[index].name)
    if operation.type in _OPAQUE:
        return None
    return _broadcast([axes[tensor.name] for tensor in known], output.shape)


def _broadcast(inputs: list[Axes], shape: Shape) -> Axes | None:
    """Axis by axis from the right: that of an input of the same size, before all of one that holds positions.

    None where an axis is of no input's size: the operation does more than go through elements.
    """
    result = []
    for place in range(1, len(shape) + 1):
        own = [axes[-place] for axes in inputs if len(axes) >= place]
        fitting = [axis for axis in own if shape[-place] is None or axis_size(axis) in (None, shape[-place])]
        if not fitting:
            return None
        result.append(next(filter(is_spatial, fitting), fitting[0]))
    return tuple(reversed(result))


def _windowed(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
    """Convolutions, pooling, resizing: the positions stay where they are, the other axes are new."""
    source = next(axes[tensor.name] for tensor in operation.inputs if axes.get(tensor.name))
    is_first = "data_format" in operation.node_def.attr and operation.get_attr("data_format") == b"NCHW"
    if len(source) != output.shape.rank or is_spatial(source[1 if is_first else -1]):
        return None  # the second: the image's rows or columns are taken for channels, and added up
    return tuple(
        axis if is_spatial(axis) else other_axis(size) for axis, size in zip(source, output.shape, strict=False)
    )


def _padded(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
    source, paddings = axes.get(operation.inputs[0].name), tf.get_static_value(operation.inputs[1])
    if not source or paddings is None:
        return None
    result = []
    for axis, size, (before, after) in zip(source, output.shape, paddings.tolist(), strict=True):
        grid, length = token_grid(axis), axis_size(axis)
        if grid is not None and length is not None and before + after:
            axis = (Atom("tokens", length + before + after, grid._replace(leading=grid.leading + before)),)
        result.append(axis if is_spatial(axis) else other_axis(size))
    return tuple(result)


def _transposed(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
    source, order = axes.get(operation.inputs[0].name), tf.get_static_value(operation.inputs[1])
    return None if not source or order is None else tuple(source[place] for place in order)


def _reduced(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
    source, places = axes.get(operation.inputs[0].name), tf.get_static_value(operation.inputs[1])
    if not source or places is None:
        return None
    gone = {int(place) % len(source) for place in places.reshape(-1)}
    kept = [other_axis(1) if place in gone else axis for place, axis in enumerate(source)]
    if len(kept) != output.shape.rank:
        kept = [axis for place, axis in enumerate(source) if place not in gone]
    return tuple(kept)


def _concatenated(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
    *parts, place = operation.inputs
    place = tf.get_static_value(place)
    if place is None:
        return None
    place = int(place) % output.shape.rank
    known = next(axes[part.name] for part in parts if axes.get(part.name))
    result = list(known)
    joined = [axes[part.name][place] if axes.get(part.name) else other_axis(part.shape[place]) for part in parts]
    grids = [token_grid(axis) for axis in joined]
    sizes = [size for axis in joined if (size := axis_size(axis)) is not None]
    found = [number for number, grid in enumerate(grids) if grid is not None]
    if len(found) == 1 and len(sizes) == len(joined):
        grid = grids[found[0]]
        assert grid is not None
        leading = sum(sizes[: found[0]]) + grid.leading
        result[place] = (Atom("tokens", sum(sizes), grid._replace(leading=leading)),)
    else:
        result[place] = other_axis(output.shape[place])
    return tuple(result)


def _reordered(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
    """Reversing, rolling, sorting: the axes it goes along lose their positions."""
    source = axes.get(operation.inputs[0].name)
    if not source:
        return None
    along = {"ReverseV2": 1, "Roll": 2}.get(operation.type)
    places = np.array([-1]) if along is None else tf.get_static_value(operation.inputs[along])
    if places is None:
        return None
    moved = {int(place) % len(source) for place in np.ravel(places)}
    return tuple(
        other_axis(size) if place in moved else axis
        for place, (axis, size) in enumerate(zip(source, output.shape, strict=True))
    )


def _packed(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
    known = next(axes[tensor.name] for tensor in operation.inputs if axes.get(tensor.name))
    place = operation.get_attr("axis") % output.shape.rank
    return (*known[:place], other_axis(output.shape[place]), *known[place:])


_RULES: dict[str, Callable[[tf.Operation, tf.Tensor, dict[str, Axes]], Axes | None]] = {
    **dict.fromkeys(_WINDOWED, _windowed),
    **dict.fromkeys(_REDUCTIONS, _reduced),
    **dict.fromkeys(PRODUCTS, multiplied),
    **dict.fromkeys(SELECTIONS, selected),
    **dict.fromkeys(("Reshape", "Squeeze", "ExpandDims"), reshaped),
    **dict.fromkeys(PADS, _padded),
    **dict.fromkeys(("ReverseV2", "Roll", "TopKV2", "Cumsum", "Cumprod"), _reordered),
    "Pack": _packed,
    "Transpose": _transposed,
    "ConcatV2": _concatenated,
}
