"""What a matrix product makes of axes, and whether it adds up over positions."""

import tensorflow as tf

from care_tf.network._axes import Axes, Axis, is_spatial, other_axis

PRODUCTS = frozenset({"MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum"})


def mixes_positions(operation: tf.Operation, axes: dict[str, Axes]) -> bool:
    """Whether an operation adds up over the image's positions with weights that depend on the image, as attention."""
    if operation.type not in PRODUCTS or not all(tensor.name in axes for tensor in operation.inputs):
        return False
    return any(
        not axes[tensor.name] or is_spatial(axes[tensor.name][index]) for tensor, index in _contracted(operation)
    )


def multiplied(operation: tf.Operation, output: tf.Tensor, axes: dict[str, Axes]) -> Axes | None:
    """Matrix products: every axis that stays keeps its meaning, unless positions are mixed by the image itself."""
    letters = _letters(operation)
    if letters is None or mixes_positions(operation, axes):
        return None
    inputs, result = letters
    found: dict[str, Axis] = {}
    for own, tensor in zip(inputs, operation.inputs, strict=False):
        for letter, axis in zip(own, axes.get(tensor.name, ()), strict=False):
            if is_spatial(axis):
                found.setdefault(letter, axis)
    return tuple(found.get(letter, other_axis(size)) for letter, size in zip(result, output.shape, strict=False))


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
