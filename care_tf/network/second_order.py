"""Which operations have no second-order gradient, asked of TensorFlow's own registry."""

import tensorflow as tf
from tensorflow.python.framework.ops import get_gradient_function

from care_tf.errors import InputError, clause
from care_tf.network._operation_kinds import SHAPE_ONLY

_ANOTHER_LAYER = "Choose an attention layer after it"


def first_order_only(
    features: tf.Tensor, predictions: tf.Tensor, place: str = "attention map", remedy: str = _ANOTHER_LAYER
) -> tuple[str, ...]:
    """Types of the operations whose gradient with respect to the features cannot be differentiated again.

    TensorFlow raises for some of them, and gives None for others, for bilinear resizing for one, without an error.

    Args:
      features: A tensor of a traced graph. The gradient's operations are added to that graph.
      predictions: What is made from it.
      place: What the tensor is, for messages.
      remedy: What to do where it has no gradient, likewise.

    Raises:
      InputError: An operation has no gradient at all.
    """
    graph = features.graph
    num_before = len(graph.get_operations())
    try:
        with graph.as_default():
            gradients = tf.gradients(predictions, features)
    except LookupError as error:
        raise InputError(
            f"The score must be differentiable with respect to the {place}. Received a network with an operation that "
            f"is not: {clause(str(error).splitlines()[0])}. {remedy}."
        ) from error
    if gradients == [None]:
        raise InputError(
            f"The score must have a gradient at the {place}. Received a network in which something between them stops "
            f"it, such as tf.stop_gradient or rounding. {remedy}."
        )
    added = graph.get_operations()[num_before:]
    types = {operation.type for operation in added if not _is_differentiable(operation)}
    return tuple(sorted(name.removesuffix("Grad") for name in types))


def _is_differentiable(operation: tf.Operation) -> bool:
    takes_and_gives_numbers = all(
        any(tensor.dtype.is_floating for tensor in tensors) for tensors in (operation.inputs, operation.outputs)
    )
    if not takes_and_gives_numbers or operation.type in SHAPE_ONLY:
        return True
    try:
        return get_gradient_function(operation) is not None
    except LookupError:
        return False
