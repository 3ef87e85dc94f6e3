"""Which axes of a tensor are the image's rows and columns, followed through a traced forward pass.

A feature map is known by what its axes mean, not by its shape: (B, 196, 4) may be 196 patches and 4 attention heads.
Every axis is a tuple of atoms in row-major order: a reshape from (B, 14, 14, d) to (B, 196, d) makes (rows, columns)
of two axes, a class token in front of them makes a `TokenGrid`. What an operation does to the axes is known for the
operations below; any other one keeps them where it keeps the shape.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


class TokenGrid(NamedTuple):
    """How tokens fold back to a map: `height` x `width` of them in row-major order, after `leading` others."""

    height: int
    width: int
    leading: int = 0


@dataclasses.dataclass(frozen=True)
class Atom:
    """A factor of an axis: "rows" or "columns" of the image, "tokens" that hold a grid of it, or "other"."""

    kind: str
    size: int | None
    grid: TokenGrid | None = None


Axis = tuple[Atom, ...]
Axes = tuple[Axis, ...]
Shape = Sequence[int | None]

# These read a shape, not values, and copies of a shape.
SHAPE_ONLY = frozenset({"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"})
_SIDES = ("rows", "columns")
_END = sys.maxsize  # of a slice without an end
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
_PRODUCTS = frozenset({"MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum"})
_SELECTIONS = frozenset({"StridedSlice", "Slice", "GatherV2", "Split", "SplitV", "Unpack"})
_PADS = frozenset({"Pad", "PadV2", "MirrorPad"})
# What an index may be computed with.
_FOLDED: dict[str, Callable[..., Any]] = {
    **{"AddV2": np.add, "Sub": np.subtract, "FloorMod": np.mod, "Less": np.less, "GreaterEqual": np.greater_equal},
    **{"SelectV2": np.where, "Identity": np.asarray, "Cast": np.asarray},
}
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
        axes[image.name] = (_other(batch), (Atom("rows", height),), (Atom("columns", width),), _other(channels))
    for operation in operations:
        for index, output in enumerate(operation.outputs):
            found = None if output.shape.rank is None else _axes_after(operation, index, axes)
            axes[output.name] = tuple(
                _resized(axis, size) for axis, size in zip(found or (), output.shape or (), strict=False)
            )
    return axes


def token_grid(axis: Axis) -> TokenGrid | None:
    """The grid that an axis of tokens holds; None when it holds none, or only a part of one."""
    if [atom.kind for atom in axis] == ["rows", "columns"] and all(atom.size for atom in axis):
        return TokenGrid(axis[0].size, axis[1].size)  # type: ignore[arg-type]
    return axis[0].grid if len(axis) == 1 else None


def is_map(axes: Axes) -> bool:
    """Whether axes are (B, rows, columns, channels)."""
    return [[atom.kind for atom in axis] for axis in axes[1:3]] == [["rows"], ["columns"]] and len(axes) == 4


def mixes_positions(operation: tf.Operation, axes: dict[str, Axes]) -> bool:
    """Whether an operation adds up over the image's positions with weights that depend on the image, as attention."""
    if operation.type not in _PRODUCTS or not all(tensor.name in axes for tensor in operation.inputs):
        return False
    return any(
        not axes[tensor.name] or _is_spatial(axes[tensor.name][index]) for tensor, index in _contracted(operation)
    )


def leaves_grid_out(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> bool:
    """Whether an operation picks tokens, a class token for example, among which there is none of the grid's."""
    if operation.type not in _SELECTIONS:
        return False
    for tensor in operation.inputs:
        for index, axis in enumerate(axes.get(tensor.name, ())):
            grid = token_grid(axis)
            if grid is not None:
                kept = _kept(operation, output, index, _size(axis))
                return kept is not None and (
                    kept[-1] < grid.leading or kept[0] >= grid.leading + grid.height * grid.width
                )
    return False


def is_opaque(operation: tf.Operation) -> bool:
    """Whether an operation hides what it does with the image, and has no weights that would make it a layer."""
    return operation.type in _OPAQUE and not any(tensor.dtype == tf.resource for tensor in operation.inputs)


def is_padding(operation: tf.Operation) -> bool:
    """Whether an operation pads."""
    return operation.type in _PADS


def share_cut(operation: tf.Operation, axes: dict[str, Axes]) -> float:
    """The largest share of the rows or columns that an operation leaves out, 1 where that is not known.

    Every second entry stands for two: a stride leaves nothing out between the first and the last.
    """
    if operation.type == "CropAndResize":
        return 1.0
    if operation.type not in _SELECTIONS:
        return 0.0
    tensor = operation.inputs[1] if operation.type == "Split" else operation.inputs[0]
    sides = _sides(axes.get(tensor.name, ()))
    used = [output for output in operation.outputs if output.consumers()]
    return max((_cut(operation, output, place, size) for output in used for place, size in sides.items()), default=0.0)


def share_added(operation: tf.Operation, axes: dict[str, Axes]) -> float:
    """The largest share of the padded rows or columns that an operation adds, 1 where that is not known.

    0 for less than the window of the next convolution or pooling: that is what is padded for.
    """
    sides = _sides(axes.get(operation.inputs[0].name, ())) if is_padding(operation) else {}
    paddings = tf.get_static_value(operation.inputs[1]) if sides else None
    shares = [0.0]
    for place, size in sides.items():
        added = None if paddings is None else int(sum(paddings[place]))
        if added is None or added >= _next_window(operation.outputs[0], place):
            shares.append(1.0 if added is None or size is None else added / (size + added))
    return max(shares)


def _sides(axes: Axes) -> dict[int, int | None]:
    """Place -> size of the axes that are the image's rows or columns, and nothing else."""
    return {place: _size(axis) for place, axis in enumerate(axes) if len(axis) == 1 and axis[0].kind in _SIDES}


def _cut(operation: tf.Operation, output: tf.Tensor, place: int, size: int | None) -> float:
    """The share of an axis that a selection leaves out before the first entry and after the last."""
    if _is_whole(operation, place):
        return 0.0
    kept = _kept(operation, output, place, size)
    if kept is None or size is None:
        is_kept = size is not None and output.shape.rank == operation.inputs[0].shape.rank
        return 0.0 if is_kept and output.shape[place] == size else 1.0
    first = kept[0] - kept[0] % kept.step  # every second entry stands for two
    return 1.0 - (min(kept[-1] + kept.step, size) - first) / size


def _is_whole(operation: tf.Operation, place: int) -> bool:
    """Whether a selection keeps an axis whole, or every second entry of it, whatever its size."""
    if operation.type == "Slice":
        return [_entry(tensor, place) for tensor in operation.inputs[1:]] == [0, -1]
    if operation.type != "StridedSlice":
        return _axis_of(operation) not in (place, None)
    begin, end, stride, is_dropped = _subscript(operation, place)
    is_first = begin is not None and stride is not None and 0 <= begin < max(stride, 1)
    return is_first and end == _END and not is_dropped


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
                    queue.append((output, _entry(operation.inputs[1], place - 1) or 1 if is_dilating else dilation))
    return 1


def _other(size: int | None) -> Axis:
    return (Atom("other", size),)


def _is_spatial(axis: Axis) -> bool:
    return any(atom.kind != "other" for atom in axis)


def _size(axis: Axis) -> int | None:
    size: int | None = 1
    for atom in axis:
        size = None if size is None or atom.size is None else size * atom.size
    return size


def _resized(axis: Axis, size: int | None) -> Axis:
    """The axis with the size that its tensor states."""
    if size is None or _size(axis) == size:
        return axis
    if len(axis) == 1 and axis[0].kind in _SIDES:
        return (Atom(axis[0].kind, size),)
    return _other(size)


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
        fitting = [axis for axis in own if shape[-place] is None or _size(axis) in (None, shape[-place])]
        if not fitting:
            return None
        result.append(next(filter(_is_spatial, fitting), fitting[0]))
    return tuple(reversed(result))


def _windowed(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
    """Convolutions, pooling, resizing: the positions stay where they are, the other axes are new."""
    source = next(axes[tensor.name] for tensor in operation.inputs if axes.get(tensor.name))
    is_first = "data_format" in operation.node_def.attr and operation.get_attr("data_format") == b"NCHW"
    if len(source) != output.shape.rank or _is_spatial(source[1 if is_first else -1]):
        return None  # the second: the image's rows or columns are taken for channels, and added up
    return tuple(axis if _is_spatial(axis) else _other(size) for axis, size in zip(source, output.shape, strict=False))


def _padded(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
    source, paddings = axes.get(operation.inputs[0].name), tf.get_static_value(operation.inputs[1])
    if not source or paddings is None:
        return None
    result = []
    for axis, size, (before, after) in zip(source, output.shape, paddings.tolist(), strict=True):
        grid, length = token_grid(axis), _size(axis)
        if grid is not None and length is not None and before + after:
            axis = (Atom("tokens", length + before + after, grid._replace(leading=grid.leading + before)),)
        result.append(axis if _is_spatial(axis) else _other(size))
    return tuple(result)


def _reshaped(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
    source = axes.get(operation.inputs[0].name)
    if not source:
        return None
    asked = tf.get_static_value(operation.inputs[1], partial=True) if operation.type == "Reshape" else None
    inferred = None if asked is None else next((place for place, size in enumerate(asked) if size == -1), None)
    return _regrouped(source, output.shape, inferred)


def _regrouped(source: Axes, shape: Shape, inferred: int | None = None) -> Axes | None:
    """The atoms of some axes dealt out to a new shape, from the right; what is left belongs to unknown sizes.

    Args:
      source: The axes.
      shape: The new shape.
      inferred: The axis whose size a reshape was left to infer, -1.
    """
    atoms = [atom for axis in source for atom in axis if atom.size != 1]
    groups: list[Axis] = [()] * len(shape)
    place = len(shape) - 1
    while place >= 0 and (size := shape[place]) is not None:
        taken = _take(atoms, size)
        if taken is None:
            return None
        groups[place] = taken
        place -= 1
    unknown = [place for place in range(place + 1) if shape[place] != 1]
    if any(shape[place] is not None for place in unknown) or len(atoms) < len(unknown) or (atoms and not unknown):
        return None
    # Of several unknown sizes one takes what is too much: the inferred one, or else the first, the batch. The order of
    # the atoms is right in any case, which is what counts when tokens go into the batch and come out again.
    widest = unknown.index(inferred) if inferred in unknown else 0
    for number, place in enumerate(unknown):
        count = len(atoms) - (len(unknown) - 1 - number) if number == widest else 1
        groups[place], atoms = tuple(atoms[:count]), atoms[count:]
    return tuple(_merged(group) or _other(1) for group in groups)


def _merged(axis: Axis) -> Axis:
    """Rows with what lies within each are rows again, finer ones."""
    if len(axis) > 1 and axis[0].kind in _SIDES and all(atom.kind == "other" for atom in axis[1:]):
        return (Atom(axis[0].kind, _size(axis)),)
    return axis


def _take(atoms: list[Atom], size: int) -> Axis | None:
    """Takes atoms of a product `size` off the end of a list, splitting the last one where it must."""
    taken: list[Atom] = []
    while size > 1:
        atom = atoms.pop() if atoms else None
        if atom is None or atom.size is None:
            return None
        factor = atom.size
        if size % factor:
            if factor % size:
                return None
            # Rows split into 8 x 2: the first part is rows still, coarser ones, the second is what lies within each.
            kind = atom.kind if atom.kind in _SIDES else "other"
            atoms.append(Atom(kind, factor // size))
            atom, factor = Atom("other", size), size
        taken.insert(0, atom)
        size //= factor
    return tuple(taken)


def _transposed(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
    source, order = axes.get(operation.inputs[0].name), tf.get_static_value(operation.inputs[1])
    return None if not source or order is None else tuple(source[place] for place in order)


def _reduced(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
    source, places = axes.get(operation.inputs[0].name), tf.get_static_value(operation.inputs[1])
    if not source or places is None:
        return None
    gone = {int(place) % len(source) for place in places.reshape(-1)}
    kept = [_other(1) if place in gone else axis for place, axis in enumerate(source)]
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
    joined = [axes[part.name][place] if axes.get(part.name) else _other(part.shape[place]) for part in parts]
    grids = [token_grid(axis) for axis in joined]
    sizes = [size for axis in joined if (size := _size(axis)) is not None]
    found = [number for number, grid in enumerate(grids) if grid is not None]
    if len(found) == 1 and len(sizes) == len(joined):
        grid = grids[found[0]]
        assert grid is not None
        leading = sum(sizes[: found[0]]) + grid.leading
        result[place] = (Atom("tokens", sum(sizes), grid._replace(leading=leading)),)
    else:
        result[place] = _other(output.shape[place])
    return tuple(result)


def _selected(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
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
        if _is_spatial(axis) and not _keeps_order(operation, place, _size(axis)):
            axis = _other(size)
        elif size != _size(axis) and grid is not None and size is not None:
            kept = _kept(operation, output, place, _size(axis))
            end = grid.leading + grid.height * grid.width
            if kept is None or kept[0] > grid.leading or kept[-1] + 1 < end or kept != range(kept[0], kept[0] + size):
                axis = _other(size)
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
        _other(size) if place in moved else axis
        for place, (axis, size) in enumerate(zip(source, output.shape, strict=True))
    )


def _packed(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
    known = next(axes[tensor.name] for tensor in operation.inputs if axes.get(tensor.name))
    place = operation.get_attr("axis") % output.shape.rank
    return (*known[:place], _other(output.shape[place]), *known[place:])


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
    begin, end, stride = (_entry(tensor, own) for tensor in operation.inputs[1:])
    return _Subscript(
        0 if _is_set(operation, "begin", own) else begin,
        _END if _is_set(operation, "end", own) else end,
        stride,
        _is_set(operation, "shrink_axis", own),
    )


def _is_set(operation: tf.Operation, mask: str, number: int) -> bool:
    return bool(operation.get_attr(f"{mask}_mask") >> number & 1)


def _entry(vector: tf.Tensor, number: int) -> int | None:
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


def _kept(operation: tf.Operation, output: tf.Tensor, place: int, size: int | None) -> range | None:
    """The indices that a selection keeps of an axis, in order; None when they are not known, or none."""
    if size is None:
        return None
    if operation.type == "StridedSlice":
        begin, end, stride, is_dropped = _subscript(operation, place)
        if begin is None or end is None or stride is None or stride < 0:
            return None
        return range(begin % size, begin % size + 1) if is_dropped else range(size)[begin:end:stride] or None
    if operation.type == "Slice":
        begin, length = (_entry(tensor, place) for tensor in operation.inputs[1:])
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


def _product(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
    """Matrix products: every axis that stays keeps its meaning, unless positions are mixed by the image itself."""
    letters = _letters(operation)
    if letters is None or mixes_positions(operation, axes):
        return None
    inputs, result = letters
    found: dict[str, Axis] = {}
    for own, tensor in zip(inputs, operation.inputs, strict=False):
        for letter, axis in zip(own, axes.get(tensor.name, ()), strict=False):
            if _is_spatial(axis):
                found.setdefault(letter, axis)
    return tuple(found.get(letter, _other(size)) for letter, size in zip(result, output.shape, strict=False))


def _contracted(operation: tf.Operation) -> list[tuple[tf.Tensor, int]]:
    """(input, place) of every axis that a product sums over."""
    letters = _letters(operation)
    if letters is None:
        return []
    inputs, result = letters
    return [
        (tensor, place)
        for own, tensor in zip(inputs, operation.inputs, strict=False)
        for place, letter in enumerate(own)
        if letter not in result
    ]


def _letters(operation: tf.Operation) -> tuple[list[str], str] | None:
    """The subscripts of a product, as for einsum."""
    if operation.type == "Einsum":
        equation = operation.get_attr("equation").decode()
        if "." in equation or "->" not in equation:
            return None
        left, right = equation.split("->")
        return left.split(","), right
    flags = ("transpose_a", "transpose_b") if operation.type == "MatMul" else ("adj_x", "adj_y")
    left, right = ("nm" if operation.get_attr(flags[0]) else "mn"), ("kn" if operation.get_attr(flags[1]) else "nk")
    rank = max(tensor.shape.rank or 0 for tensor in operation.inputs)
    batch = "abcdefgh"[: rank - 2]
    ranks = [tensor.shape.rank for tensor in operation.inputs]
    if None in ranks:
        return None
    return [batch[rank - ranks[0] :] + left, batch[rank - ranks[1] :] + right], f"{batch}mk"


_RULES: dict[str, Callable[[tf.Operation, tf.Tensor, dict[str, Axes]], Axes | None]] = {
    **dict.fromkeys(_WINDOWED, _windowed),
    **dict.fromkeys(_REDUCTIONS, _reduced),
    **dict.fromkeys(_PRODUCTS, _product),
    **dict.fromkeys(_SELECTIONS, _selected),
    **dict.fromkeys(("Reshape", "Squeeze", "ExpandDims"), _reshaped),
    **dict.fromkeys(_PADS, _padded),
    **dict.fromkeys(("ReverseV2", "Roll", "TopKV2", "Cumsum", "Cumprod"), _reordered),
    "Pack": _packed,
    "Transpose": _transposed,
    "ConcatV2": _concatenated,
}
