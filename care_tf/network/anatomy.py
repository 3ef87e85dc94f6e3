"""What CARE must know about a classifier, read once from a traced forward pass."""

import dataclasses
import math
from typing import Any

import keras
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.network.observation import find_path, listing
from care_tf.network.trace import Call, NetworkTrace, ancestors

# TensorFlow has no second-order gradient for these; for bilinear resizing it is None without an error.
FIRST_ORDER_ONLY_OPS = frozenset(
    {
        "CropAndResize",
        "ImageProjectiveTransformV2",
        "ImageProjectiveTransformV3",
        "ResizeArea",
        "ResizeBicubic",
        "ResizeBilinear",
        "ResizeNearestNeighbor",
        "ScaleAndTranslate",
    }
)
ACTIVATION_OPS = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """Where the attention map and the logits of a classifier are found.

    Attributes:
      attention_path: "outer/inner" path of the attention layer; None when a features model gives the map.
      attention_layer: The layer itself; None likewise.
      logit_layer: The last layer, whose activation is left out for the logits; None when the classifier ends in them.
      output_activation: "softmax", "log_softmax", "sigmoid" or "linear".
      num_outputs: Length of the output; 1 for a binary classifier with one unit.
      last_dense: The Dense layer that makes the logits; None when another layer does.
      pooled_dense: The Dense layer of a head that is exactly global average pooling + Dense; else None.
      first_order_only: Operation types between the map and the logits that have no second-order gradient.
    """

    attention_path: str | None
    attention_layer: keras.layers.Layer | None
    logit_layer: keras.layers.Layer | None
    output_activation: str
    num_outputs: int
    last_dense: keras.layers.Dense | None
    pooled_dense: keras.layers.Dense | None
    first_order_only: tuple[str, ...]


def read_anatomy(trace: NetworkTrace, attention_layer: str) -> Anatomy:
    """Reads where the attention map and the logits of a traced classifier are found.

    Args:
      trace: Of `trace_network`.
      attention_layer: "auto", a layer name, or an "outer/inner" path. Unused when the trace has features.

    Returns:
      The anatomy.

    Raises:
      InputError: The layer is unknown, ambiguous, without spatial extent or not on the way to the output, or the
        output is not (B, classes).
    """
    calls, features, predictions = trace.calls, trace.features, trace.predictions
    _check_predictions(predictions)
    path = layer = None
    if features is None:
        call = _find_attention_call(calls, trace.layers, attention_layer)
        path, layer, features = call.path, call.layer, call.output
    _check_spatial(features, path)
    between = _operations_between(features, predictions, path)
    activation, logit_layer = _find_logits(calls, predictions)
    return Anatomy(
        attention_path=path,
        attention_layer=layer,
        logit_layer=logit_layer,
        output_activation=activation,
        num_outputs=int(predictions.shape[-1]),
        last_dense=_find_last_dense(calls, predictions, logit_layer),
        pooled_dense=_find_pooled_dense(calls, features, predictions, logit_layer),
        first_order_only=tuple(sorted(between & FIRST_ORDER_ONLY_OPS)),
    )


def read_last_dense(trace: NetworkTrace) -> keras.layers.Dense | None:
    """The Dense layer that makes a traced classifier's logits; None when another layer does.

    Raises:
      InputError: The output is not (B, classes), or its activation belongs to no layer.
    """
    _check_predictions(trace.predictions)
    return _find_last_dense(trace.calls, trace.predictions, _find_logits(trace.calls, trace.predictions)[1])


def _check_predictions(predictions: Any) -> None:
    if not tf.is_tensor(predictions) or predictions.shape.rank != 2:
        shape = predictions.shape if tf.is_tensor(predictions) else type(predictions).__name__
        raise InputError(
            f"The classifier must return one tensor of shape (batch, classes). Received {shape}. Wrap the network so "
            "that only the class output remains, for example with keras.Model(inputs, class_output)."
        )


def _find_attention_call(calls: list[Call], layers: dict[str, keras.layers.Layer], name: str) -> Call:
    if name == "auto":
        spatial = [call for call in calls if _has_spatial_extent(call.output) and call.output.shape.rank == 4]
        if not spatial:
            raise InputError(
                "No layer of the classifier has an output of shape (batch, h, w, channels) with h, w > 1, so there is "
                'no attention map. Name a token layer with attention_layer="...", or use larger images. '
                f"Layers: {listing(layers)}."
            )
        # A nested model returns the very tensor of its last layer: name the layer that made it.
        return next(call for call in calls if call.output is spatial[-1].output)
    spatial_paths = listing({call.path: call for call in calls if _has_spatial_extent(call.output)})
    path = find_path(layers, name, "attention_layer", f"Layers with a spatial output: {spatial_paths}")
    matching = [call for call in calls if call.path == path]
    if len(matching) != 1:
        raise InputError(
            f"attention_layer={name!r} is called {len(matching)} times in one forward pass; the attention layer must "
            "be called exactly once. Name another layer."
        )
    return matching[0]


def _has_spatial_extent(output: Any) -> bool:
    if not tf.is_tensor(output):
        return False
    if output.shape.rank == 4:
        return all(size is None or size > 1 for size in output.shape[1:3])
    return output.shape.rank == 3 and token_grid_size(output.shape[1]) is not None


def token_grid_size(num_tokens: int | None) -> tuple[int, int] | None:
    """Side of the square grid that transformer tokens fold back to.

    Args:
      num_tokens: Number of tokens; a class token, if any, comes first.

    Returns:
      (side, number of leading tokens to drop), or None when the tokens form no square grid larger than 1.
    """
    if num_tokens is None:
        return None
    for leading in (0, 1):
        side = math.isqrt(max(num_tokens - leading, 0))
        if side > 1 and side * side == num_tokens - leading:
            return side, leading
    return None


def _check_spatial(features: Any, path: str | None) -> None:
    if not _has_spatial_extent(features):
        where = f"attention layer {path!r}" if path else "features model"
        shape = features.shape if tf.is_tensor(features) else type(features).__name__
        raise InputError(
            f"The attention map needs spatial extent: (batch, h, w, channels) with h, w > 1, or (batch, tokens, "
            f"channels) with a square number of tokens. The {where} gives {shape}. Choose an earlier layer, or use "
            "larger images."
        )


def _operations_between(features: tf.Tensor, predictions: tf.Tensor, path: str | None) -> set[str]:
    """Types of the operations on the paths from the features to the predictions."""
    descendants, queue = set(), [features]
    while queue:
        for operation in queue.pop().consumers():
            if operation not in descendants:
                descendants.add(operation)
                queue.extend(operation.outputs)
    if predictions.op not in descendants:
        raise InputError(
            f"The attention layer {path!r} does not lead to the classifier's output, so the class score has no "
            "gradient there. Choose a layer between the input and the output."
        )
    return {operation.type for operation in ancestors([predictions.op]) & descendants}


def _find_logits(calls: list[Call], predictions: tf.Tensor) -> tuple[str, keras.layers.Layer | None]:
    operation = _source(predictions, ("Cast", "Identity", "Reshape", "Squeeze"))
    activation = ACTIVATION_OPS.get(operation.type, "linear")
    if activation == "linear":
        return activation, None
    made = [call for call in calls if call.output is operation.outputs[0] or call.output is predictions]
    for call in made:
        if isinstance(call.layer, keras.layers.Softmax) or callable(getattr(call.layer, "activation", None)):
            return activation, call.layer
    raise InputError(
        f"The classifier ends in {activation}, but not through a layer whose input can be read, so the score before it "
        f"is out of reach. End it with keras.layers.Activation({activation!r}) or Dense(..., "
        f"activation={activation!r}), or let it return logits."
    )


def _find_last_dense(calls, predictions, logit_layer) -> keras.layers.Dense | None:
    if isinstance(logit_layer, keras.layers.Dense):
        return logit_layer
    if logit_layer is not None and logit_layer.weights:
        return None  # it makes the logits itself, and is no Dense layer
    logits = predictions
    if logit_layer is not None:
        logits = next(call.input for call in calls if call.layer is logit_layer)
    # Not `is`: a Dropout in inference mode copies its input in Keras 2, and a layer of another precision casts it.
    made_by = _source(logits)
    dense_calls = [call for call in calls if isinstance(call.layer, keras.layers.Dense)]
    makers = [call.layer for call in dense_calls if _source(call.output) is made_by]
    return makers[-1] if makers else None


def _source(tensor: tf.Tensor, looked_through: tuple[str, ...] = ("Cast", "Identity")) -> tf.Operation:
    """The operation that made a tensor's values, looking through copies and casts."""
    operation = tensor.op
    while operation.type in looked_through:
        operation = operation.inputs[0].op
    return operation


def _find_pooled_dense(calls, features, predictions, logit_layer) -> keras.layers.Dense | None:
    """The Dense layer when the head is exactly features -> GlobalAveragePooling2D -> Dense (-> activation)."""
    # A Dropout returns its input in inference mode, where this was traced: it shows up as one more reader, here of the
    # features and below of the pooled vector, and rules the closed form out.
    readers = [call for call in calls if call.input is features]
    pools = [call for call in readers if isinstance(call.layer, keras.layers.GlobalAveragePooling2D)]
    if features.shape.rank != 4 or len(pools) != 1 or len({id(c.output) for c in readers}) != 1:
        return None
    after = [call for call in calls if call.input is pools[0].output and call.layer is not pools[0].layer]
    if len(after) != 1 or type(after[0].layer) is not keras.layers.Dense:
        return None
    dense = after[0]
    if dense.layer is logit_layer or (logit_layer is None and dense.output is predictions):
        return dense.layer
    is_linear = dense.layer.activation in (None, keras.activations.linear)
    followers = [call for call in calls if call.input is dense.output]
    if is_linear and logit_layer is not None and [call.layer for call in followers] == [logit_layer]:
        return dense.layer
    return None
