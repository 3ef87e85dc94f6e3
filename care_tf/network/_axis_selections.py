"""What slices, gathers and splits keep of an axis."""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from care_tf.network._axes import Atom, Axes, Axis, axis_size, is_spatial, other_axis, token_grid

_END = sys.maxsize  # of a slice without an end
SELECTIONS = frozenset({"StridedSlice", "Slice", "GatherV2", "Split", "SplitV", "Unpack"})
# What an index may be computed with.
_FOLDED: dict[str, Callable[..., Any]] = {
    **{"AddV2": np.add, "Sub": np.subtract, "FloorMod": np.mod, "Less": np.less, "GreaterEqual": np.greater_equal},
    **{"SelectV2": np.where, "Identity": np.asarray, "Cast": np.asarray},
}


def leaves_grid_out(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> bool:
    """Whether an operation picks tokens, a class token for example, among which there is none of the grid's."""
    if operation.type not in SELECTIONS:
        return False
    for tensor in operation.inputs:
        for index, axis in enumerate(axes.get(tensor.name, ())):
            grid = token_grid(axis)
            if grid is not None:
                kept = kept_indices(operation, output, index, axis_size(axis))
                return kept is not None and (
                    kept[-1] < grid.leading or kept[0] >= grid.leading + grid.height * grid.width
                )
    return False


def selected(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
    """Slices: an axis that is cut keeps its positions as rows and columns do, or loses the tokens before and after."""
    tensor = operation.inputs[1] if operation.type == "Split" else operation.inputs[0]
    source = axes.get(tensor.name)
    if not source:
        return None
    result: list[Axis] = []
    dropped = _dropped_axes(operation, len(source))
    if dropped is None or len(source) - len(dropped) != output.shape.rank:
        return None
    for place, axis in enumerate(source):
        if place in dropped:
            continue
        size = output.shape[len(result)]
        grid = token_grid(axis)
        if is_spatial(axis) and not _keeps_order(operation, place, axis_size(axis)):
            axis = other_axis(size)
        elif size != axis_size(axis) and grid is not None and size is not None:
            kept = kept_indices(operation, output, place, axis_size(axis))
            end = grid.leading + grid.height * grid.width
            if kept is None or kept[0] > grid.leading or kept[-1] + 1 < end or kept != range(kept[0], kept[0] + size):
                axis = other_axis(size)
            else:
                axis = (Atom("tokens", size, grid._replace(leading=grid.leading - kept[0])),)
        result.append(axis)
    return tuple(result)


def _keeps_order(operation: tf.Operation, place: int, size: int | None) -> bool:
    """Whether a selection leaves what it keeps of an axis in order."""
    if operation.type == "StridedSlice":
        return (_subscript(operation, place).stride or 0) > 0
    if operation.type != "GatherV2" or _axis_of(operation) not in (place, None):
        return True
    indices = _static_value(operation.inputs[1])
    return indices is not None and size is not None and bool((np.diff(indices.reshape(-1) % size) == 1).all())


def is_whole(operation: tf.Operation, place: int) -> bool:
    """Whether a selection keeps an axis whole, or every second entry of it, whatever its size."""
    if operation.type == "Slice":
        return [entry_of(tensor, place) for tensor in operation.inputs[1:]] == [0, -1]
    if operation.type != "StridedSlice":
        return _axis_of(operation) not in (place, None)
    begin, end, stride, is_dropped = _subscript(operation, place)
    is_first = begin is not None and stride is not None and 0 <= begin < max(stride, 1)
    return is_first and end == _END and not is_dropped


def _dropped_axes(operation: tf.Operation, rank: int) -> set[int] | None:
    """Axes that a selection removes; None where it adds some or cannot be read."""
    if operation.type == "StridedSlice":
        if operation.get_attr("new_axis_mask"):
            return None
        return {place for place in range(rank) if _subscript(operation, place).is_dropped}
    if operation.type == "GatherV2":
        place = _axis_of(operation)
        if place is None or operation.inputs[1].shape.rank not in (0, 1):
            return None
        return {place} if operation.inputs[1].shape.rank == 0 else set()
    return {operation.get_attr("axis") % rank} if operation.type == "Unpack" else set()


class _Subscript(NamedTuple):
    """What slices an axis, None where it is not known; without bounds it begins at 0 and ends at `_END`."""

    begin: int | None = 0
    end: int | None = _END
    stride: int | None = 1
    is_dropped: bool = False


def _subscript(operation: tf.Operation, place: int) -> _Subscript:
    """What slices an axis in a StridedSlice, which also has subscripts for an ellipsis and for new axes."""
    rank, count = operation.inputs[0].shape.rank, operation.inputs[1].shape[0] or 0
    numbers = [number for number in range(count) if not _is_set(operation, "new_axis", number)]
    ellipsis = next((at for at, own in enumerate(numbers) if _is_set(operation, "ellipsis", own)), len(numbers))
    before, after = numbers[:ellipsis], numbers[ellipsis + 1 :]
    if place >= len(before) and rank - place > len(after):
        return _Subscript()
    own = before[place] if place < len(before) else after[place - rank]
    begin, end, stride = (entry_of(tensor, own) for tensor in operation.inputs[1:])
    return _Subscript(
        0 if _is_set(operation, "begin", own) else begin,
        _END if _is_set(operation, "end", own) else end,
        stride,
        _is_set(operation, "shrink_axis", own),
    )


def _is_set(operation: tf.Operation, mask: str, number: int) -> bool:
    return bool(operation.get_attr(f"{mask}_mask") >> number & 1)


def entry_of(vector: tf.Tensor, number: int) -> int | None:
    """One number of a vector; None where it is not known."""
    values = tf.get_static_value(vector, partial=True)
    return None if values is None or values[number] is None else int(values[number])


def _axis_of(operation: tf.Operation) -> int | None:
    """The axis along which a selection that goes along one selects; None where it is not known."""
    if operation.type == "Unpack":
        return operation.get_attr("axis") % operation.inputs[0].shape.rank
    place = tf.get_static_value(operation.inputs[0 if operation.type == "Split" else 2])
    rank = operation.inputs[1 if operation.type == "Split" else 0].shape.rank
    return None if place is None else int(place) % rank


def kept_indices(operation: tf.Operation, output: tf.Tensor, place: int, size: int | None) -> range | None:
    """The indices that a selection keeps of an axis, in order; None when they are not known, or none."""
    if size is None:
        return None
    if operation.type == "StridedSlice":
        begin, end, stride, is_dropped = _subscript(operation, place)
        if begin is None or end is None or stride is None or stride < 0:
            return None
        return range(begin % size, begin % size + 1) if is_dropped else range(size)[begin:end:stride] or None
    if operation.type == "Slice":
        begin, length = (entry_of(tensor, place) for tensor in operation.inputs[1:])
        if begin is None or length is None:
            return None
        return range(size)[begin : size if length < 0 else begin + length] or None
    if _axis_of(operation) != place:
        return None if _axis_of(operation) is None else range(size)
    if operation.type == "GatherV2":
        indices = _static_value(operation.inputs[1])
        if indices is None or not indices.size:
            return None
        first, last = int((indices % size).min()), int((indices % size).max())
        return range(first, last + 1, max((last - first) // max(indices.size - 1, 1), 1))
    number = [part.name for part in operation.outputs].index(output.name)
    sizes = [1 if operation.type == "Unpack" else part.shape[place] for part in operation.outputs]
    return None if None in sizes else range(sum(sizes[:number]), sum(sizes[: number + 1])) or None


def _static_value(tensor: tf.Tensor) -> np.ndarray | None:
    """A tensor's value where it follows from constants and static shapes, as an index of Keras's `take` does."""
    value = tf.get_static_value(tensor)
    if value is not None:
        return np.asarray(value)
    operation = tensor.op
    if operation.type == "StridedSlice" and operation.inputs[0].op.type == "Shape":  # one side, of a shape partly known
        place = tf.get_static_value(operation.inputs[1])
        shape = operation.inputs[0].op.inputs[0].shape
        size = None if place is None or shape.rank is None or tensor.shape.rank else shape[int(place[0])]
        return None if size is None else np.asarray(size)
    function = _FOLDED.get(operation.type)
    inputs = [] if function is None else [_static_value(source) for source in operation.inputs]
    return None if function is None or any(each is None for each in inputs) else np.asarray(function(*inputs))
