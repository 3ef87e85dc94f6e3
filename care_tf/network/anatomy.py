"""What CARE must know about a classifier, read once from a traced forward pass."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NoReturn

import keras
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.network._axes import Axes
from care_tf.network._axis_following import follow_axes, is_opaque
from care_tf.network._crossings import crossings, first_weighted, has_variable, operations_between
from care_tf.network._frame_changes import is_padding, share_added, share_cut
from care_tf.network.attention_place import AttentionPlace, attention_layer_names, attention_place, seen_maps
from care_tf.network.trace import Call, NetworkTrace, source_of

# Endings that are neither scores nor, through a layer of their own, probabilities.
SQUASHING_OPS = frozenset({"Softmax", "Sigmoid"})
BOUNDED = frozenset({"tanh", "softplus", "softsign", "hard_sigmoid", "hard_tanh", "exponential", "sparsemax"})
# How much a network may cut off or, beyond what windows need, pad: of its image, and of the maps on every path.
MAX_SHARE_OF_IMAGE = {"crops": 0.0, "pads": 0.125}
MAX_SHARE_OF_MAP = {"crops": 0.25, "pads": 0.5}
ACTIVATION_OPS = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}


@dataclasses.dataclass(frozen=True)
class Anatomy(AttentionPlace):
    """Where the attention map and the logits of a classifier are found.

    The attributes of `AttentionPlace` are those of the map that is shown and measured.

    Attributes:
      logit_layer: The last layer, whose activation is left out for the logits; None when the classifier ends in them.
      output_activation: "softmax", "log_softmax", "sigmoid" or "linear".
      num_outputs: Length of the output; 1 for a binary classifier with one unit.
      last_dense: The Dense layer that makes the logits; None when another layer does.
      earlier: Where further maps are found, before it in the network; the attention loss is a mean over all of them.
    """

    logit_layer: keras.layers.Layer | None
    output_activation: str
    num_outputs: int
    last_dense: keras.layers.Dense | None
    earlier: tuple[AttentionPlace, ...] = ()

    @property
    def places(self) -> tuple[AttentionPlace, ...]:
        """Where all maps are found, in the network's order; the last is the one that is shown."""
        return (*self.earlier, self)

    def __str__(self) -> str:
        """In a line for people: the layers and sizes of the maps, and how the score is read."""
        maps = "; ".join(place.description for place in self.places)
        shown = f"Attention maps: {maps}, which is shown" if self.earlier else f"Attention map: {maps}"
        score = (
            "the output itself, taken for logits"
            if self.logit_layer is None
            else f"the input of {self.logit_layer.name}'s {self.output_activation}"
        )
        return f"{shown}. Score: {score}."


def read_anatomy(trace: NetworkTrace, attention_layer: str | Sequence[str]) -> Anatomy:
    """Reads where the attention maps and the logits of a traced classifier are found.

    Args:
      trace: Of `trace_network`.
      attention_layer: "auto", a layer name, an "outer/inner" path, or a list of these in the network's order, of which
        the last one's map is shown. Unused when the trace has features. "auto" is the last map, or grid of tokens, that
        every path from the image to the prediction crosses and whose positions the prediction reads.

    Returns:
      The anatomy.

    Raises:
      InputError: A layer is unknown, ambiguous, without spatial extent, not on the way to the output, or not computed
        from the one before it in the list; "auto" finds none; the network crops or pads its image; the output is not
        (B, classes), or no score; or nothing has a gradient at a map.
    """
    predictions = trace.predictions
    _check_predictions(predictions)
    operations = operations_between(trace.image, predictions)
    axes = follow_axes(trace.image, operations)
    _check_uncropped(trace, operations, axes)
    seen = seen_maps(trace, operations, axes, attention_layer_names(attention_layer))
    activation, logit_layer = _find_logits(trace.calls, predictions, axes)
    places = tuple(attention_place(trace, each, logit_layer) for each in seen)
    return Anatomy(
        **vars(places[-1]),
        logit_layer=logit_layer,
        output_activation=activation,
        num_outputs=int(predictions.shape[-1]),
        last_dense=_find_last_dense(trace.calls, predictions, logit_layer),
        earlier=places[:-1],
    )


def read_last_dense(trace: NetworkTrace) -> keras.layers.Dense | None:
    """The Dense layer that makes a traced classifier's logits; None when another layer does.

    Raises:
      InputError: The output is not (B, classes), or its activation belongs to no layer.
    """
    _check_predictions(trace.predictions)
    axes = follow_axes(trace.image, operations_between(trace.image, trace.predictions))
    return _find_last_dense(trace.calls, trace.predictions, _find_logits(trace.calls, trace.predictions, axes)[1])


def _check_predictions(predictions: Any) -> None:
    if not tf.is_tensor(predictions) or predictions.shape.rank != 2:
        shape = predictions.shape if tf.is_tensor(predictions) else type(predictions).__name__
        raise InputError(
            f"The classifier must return one tensor of shape (batch, classes). Received {shape}. Wrap the network so "
            "that only the class output remains, for example with keras.Model(inputs, class_output)."
        )


def _check_uncropped(trace: NetworkTrace, operations: list[tf.Operation], axes: dict[str, Axes]) -> None:
    """Refuses a network that crops or pads its image, or every path's map: the masks would not go with it."""
    weighted = first_weighted(operations, axes)
    on_every_path = {tensor.op for tensor in crossings(trace.image, operations)}
    left = {(is_image, kind): 1.0 for is_image in (True, False) for kind in MAX_SHARE_OF_MAP}
    for place, operation in enumerate(operations):
        is_image = place < weighted
        if is_image and is_opaque(operation):
            _refuse_view(f"hides what it does with the image in a condition, loop or tf.function ({operation.name})")
        if not is_image and operation not in on_every_path:
            continue
        kind = "pads" if is_padding(operation) else "crops"
        left[is_image, kind] *= 1.0 - (share_added if kind == "pads" else share_cut)(operation, axes)
        if 1.0 - left[is_image, kind] > (MAX_SHARE_OF_IMAGE if is_image else MAX_SHARE_OF_MAP)[kind]:
            _refuse_view(f"{kind} the image itself ({operation.name})")


def _refuse_view(received: str) -> NoReturn:
    raise InputError(
        "The network must see the whole image and nothing more, because its masks go with the whole image. Received "
        f"one that {received}. Do this to images and masks in the pipeline, and leave the layer out."
    )


def _find_logits(
    calls: list[Call], predictions: tf.Tensor, axes: dict[str, Axes]
) -> tuple[str, keras.layers.Layer | None]:
    operation = source_of(predictions, ("Cast", "Identity", "Reshape", "Squeeze")).op
    activation = ACTIVATION_OPS.get(operation.type, "linear")
    if activation == "linear":
        _check_logits(calls, predictions, axes)
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


def _check_logits(calls: list[Call], predictions: tf.Tensor, axes: dict[str, Axes]) -> None:
    """Refuses an output that is taken for logits, and is none: squashed on every path since the last weights."""
    last = [call.layer for call in calls if call.output is predictions]
    if any(getattr(layer, "activation", None) is keras.activations.linear and not layer.weights for layer in last):
        return  # an Activation("linear") at the end says that these are logits
    names = {getattr(getattr(layer, "activation", None), "__name__", "") for layer in last}
    squashed = sorted(names & BOUNDED)
    if not squashed:
        seen, queue = set(), [predictions.op]
        while queue:
            operation = queue.pop()
            if operation in seen:
                continue
            seen.add(operation)
            if operation.type in SQUASHING_OPS:
                squashed.append(operation.type.lower())
                continue
            sources = [tensor for tensor in operation.inputs if tensor.name in axes]
            if operation.type == "Log" or not sources or has_variable(operation, axes):
                return  # a path from the last weights, or from a logarithm, that nothing squashes
            queue.extend(tensor.op for tensor in sources)
    raise InputError(
        "The classifier must end in logits, or in a softmax or sigmoid layer, for its score to be read. Received an "
        f"output behind {', '.join(dict.fromkeys(squashed)) or 'no weights'}, such as an average of probabilities. "
        "Return logits, and average those; or, if the output is a score as it is, end the network with "
        'keras.layers.Activation("linear").'
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
    made_by = source_of(logits)
    dense_calls = [call for call in calls if isinstance(call.layer, keras.layers.Dense)]
    makers = [call.layer for call in dense_calls if source_of(call.output) is made_by]
    return makers[-1] if makers else None
