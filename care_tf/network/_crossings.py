"""The tensors that every path from the image to the prediction crosses, in a traced forward pass."""

import tensorflow as tf

from care_tf.network._axes import Axes
from care_tf.network._axis_products import mixes_positions
from care_tf.network._axis_selections import leaves_grid_out
from care_tf.network._operation_kinds import SHAPE_ONLY
from care_tf.network.trace import ancestors

_WEIGHTED = frozenset({"Conv2D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum"})


def operations_between(start: tf.Tensor, end: tf.Tensor) -> list[tf.Operation]:
    """The operations that take the values of one tensor to another, in topological order; [] where none do."""
    after, queue = set(), [start]
    while queue:
        for operation in queue.pop().consumers():
            if operation not in after and operation.type not in SHAPE_ONLY:
                after.add(operation)
                queue.extend(operation.outputs)
    if end.op not in after:
        return []
    on_path = ancestors([end.op]) & after
    return [operation for operation in start.graph.get_operations() if operation in on_path]


def crossings(start: tf.Tensor, operations: list[tf.Operation]) -> list[tf.Tensor]:
    """The tensors that every path crosses, from the image on.

    An operation lies on every path when no tensor made before it is used after it.

    Args:
      start: The image.
      operations: Of `operations_between(start, end)`.
    """
    places = {operation: place for place, operation in enumerate(operations)}

    def last_use(tensor: tf.Tensor) -> int:
        return max((places.get(operation, -1) for operation in tensor.consumers()), default=-1)

    crossed = []
    reach = last_use(start)
    for place, operation in enumerate(operations):
        uses = {output.name: last_use(output) for output in operation.outputs}
        used = [output for output in operation.outputs if uses[output.name] >= 0]
        if reach <= place and len(used) == 1:
            crossed.append(used[0])
        reach = max(reach, *uses.values(), 0)
    return crossed


def has_variable(operation: tf.Operation, axes: dict[str, Axes]) -> bool:
    """Whether what depends on the image meets weights in an operation, not constants or further inputs only."""
    others = [tensor for tensor in operation.inputs if tensor.name not in axes and tensor.dtype.is_floating]
    return any(tf.get_static_value(tensor) is None and not _is_given(tensor) for tensor in others)


def _is_given(tensor: tf.Tensor) -> bool:
    """Whether a tensor comes from an input of the network, with no weights on the way."""
    captured = {placeholder.op for placeholder in tensor.graph.internal_captures}
    sources = {operation for operation in ancestors([tensor.op]) if operation.type == "Placeholder"}
    return bool(sources) and not sources & captured


def first_weighted(operations: list[tf.Operation], axes: dict[str, Axes]) -> int:
    """Place of the first operation with weights; the number of operations without any."""
    return next(
        (
            place
            for place, operation in enumerate(operations)
            if operation.type in _WEIGHTED and has_variable(operation, axes)
        ),
        len(operations),
    )


def is_grid_read(tensor: tf.Tensor, end: tf.Tensor, operations: list[tf.Operation], axes: dict[str, Axes]) -> bool:
    """Whether the prediction depends on the positions of a tensor; not when only its class token is read.

    What reaches a class token through attention has been read; what stays in its own token has not.

    Args:
      tensor: A map, or tokens with a grid.
      end: The prediction.
      operations: Of `operations_between`.
      axes: Of `follow_axes`.
    """
    in_place: set[str] = {tensor.name}
    mixed: set[str] = set()
    for operation in operations:
        names = {source.name for source in operation.inputs}
        is_mixing = bool(names & in_place) and mixes_positions(operation, axes)
        for output in operation.outputs:
            if names & mixed or is_mixing:
                mixed.add(output.name)
            if names & in_place and not is_mixing and not leaves_grid_out(operation, output, axes):
                in_place.add(output.name)
    return end.name in in_place | mixed
