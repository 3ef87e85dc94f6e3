"""What CARE must know about a classifier, read once from a traced forward pass."""

import collections
import dataclasses
import math
from typing import Any, NoReturn

import keras
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.network._axes import Axes, TokenGrid, is_map, token_grid
from care_tf.network._axis_following import follow_axes, is_opaque
from care_tf.network._crossings import crossings, first_weighted, has_variable, is_grid_read, operations_between
from care_tf.network._frame_changes import is_padding, share_added, share_cut
from care_tf.network.observation import find_path, listing
from care_tf.network.second_order import first_order_only
from care_tf.network.trace import Call, NetworkTrace

# Endings that are neither scores nor, through a layer of their own, probabilities.
SQUASHING_OPS = frozenset({"Softmax", "Sigmoid"})
BOUNDED = frozenset({"tanh", "softplus", "softsign", "hard_sigmoid", "hard_tanh", "exponential", "sparsemax"})
# How much a network may cut off or, beyond what windows need, pad: of its image, and of the maps on every path.
MAX_SHARE_OF_IMAGE = {"crops": 0.0, "pads": 0.125}
MAX_SHARE_OF_MAP = {"crops": 0.25, "pads": 0.5}
ACTIVATION_OPS = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """Where the attention map and the logits of a classifier are found.

    Attributes:
      attention_path: "outer/inner" path of the attention layer; None when a features model gives the map.
      attention_layer: The layer itself; None likewise.
      attention_side: "output", or "input" where the map is what the layer is given, because no layer made it.
      map_size: (h, w) of the map; None where it depends on the size of the image.
      map_channels: d of the map.
      grid: How tokens fold back to the map; None for a map (B, h, w, channels).
      logit_layer: The last layer, whose activation is left out for the logits; None when the classifier ends in them.
      output_activation: "softmax", "log_softmax", "sigmoid" or "linear".
      num_outputs: Length of the output; 1 for a binary classifier with one unit.
      last_dense: The Dense layer that makes the logits; None when another layer does.
      pooled_dense: The Dense layer of a head that is exactly global average pooling + Dense; else None.
      first_order_only: Operation types between the map and the logits that have no second-order gradient.
    """

    attention_path: str | None
    attention_layer: keras.layers.Layer | None
    attention_side: str
    map_size: tuple[int, int] | None
    map_channels: int
    grid: TokenGrid | None
    logit_layer: keras.layers.Layer | None
    output_activation: str
    num_outputs: int
    last_dense: keras.layers.Dense | None
    pooled_dense: keras.layers.Dense | None
    first_order_only: tuple[str, ...]

    def __str__(self) -> str:
        """In a line for people: the map's layer and size, and how the score is read."""
        layer = "the features model" if self.attention_path is None else self.attention_path
        size = "as large as the image makes it" if self.map_size is None else "{} x {}".format(*self.map_size)
        tokens = "" if self.grid is None else f", folded from tokens after the first {self.grid.leading}"
        score = (
            "the output itself, taken for logits"
            if self.logit_layer is None
            else f"the input of {self.logit_layer.name}'s {self.output_activation}"
        )
        return f"Attention map: {self.attention_side} of {layer}, {size}{tokens}. Score: {score}."


def read_anatomy(trace: NetworkTrace, attention_layer: str) -> Anatomy:
    """Reads where the attention map and the logits of a traced classifier are found.

    Args:
      trace: Of `trace_network`.
      attention_layer: "auto", a layer name, or an "outer/inner" path. Unused when the trace has features. "auto" is
        the last map, or grid of tokens, that every path from the image to the prediction crosses and whose positions
        the prediction reads.

    Returns:
      The anatomy.

    Raises:
      InputError: The layer is unknown, ambiguous, without spatial extent or not on the way to the output; "auto" finds
        none; the network crops or pads its image; the output is not (B, classes), or no score; or nothing has a
        gradient at the map.
    """
    calls, features, predictions = trace.calls, trace.features, trace.predictions
    _check_predictions(predictions)
    operations = operations_between(trace.image, predictions)
    axes = follow_axes(trace.image, operations)
    _check_uncropped(trace, operations, axes)
    path = layer = None
    side = "output"
    if features is None:
        call, side = (
            _find_crossing(trace, operations, axes)
            if attention_layer == "auto"
            else (_find_call(calls, trace.layers, axes, attention_layer), "output")
        )
        path, layer, features = call.path, call.layer, call.output if side == "output" else call.input
    map_size, grid = _spatial_extent(features, axes, path)
    if not operations_between(features, predictions):
        raise InputError(
            f"The attention layer {path!r} does not lead to the classifier's output, so the class score has no "
            "gradient there. Choose a layer between the input and the output."
        )
    activation, logit_layer = _find_logits(calls, predictions, axes)
    pooled_dense = _find_pooled_dense(calls, features, predictions, logit_layer)
    return Anatomy(
        attention_path=path,
        attention_layer=layer,
        attention_side=side,
        map_size=map_size,
        map_channels=int(features.shape[-1]),
        grid=grid,
        logit_layer=logit_layer,
        output_activation=activation,
        num_outputs=int(predictions.shape[-1]),
        last_dense=_find_last_dense(calls, predictions, logit_layer),
        pooled_dense=pooled_dense,
        first_order_only=() if pooled_dense is not None else first_order_only(features, predictions),
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


def _find_crossing(trace: NetworkTrace, operations: list[tf.Operation], axes: dict[str, Axes]) -> tuple[Call, str]:
    """The call that makes, or else is given, the last map on every path to the prediction; and which of the two."""
    weighted = first_weighted(operations, axes)
    past_weights = {operation for operation in operations[weighted:]}
    for tensor in reversed(crossings(trace.image, operations)):
        if tensor.op not in past_weights or _extent(axes.get(tensor.name, ())) is None:
            continue
        unfolded = tensor.op.inputs[0] if tensor.op.type == "Reshape" else tensor
        if _extent(axes.get(unfolded.name, ())) is not None:
            tensor = unfolded  # tokens that are nothing but a map unfolded
        seen = _observable(trace.calls, tensor)
        if seen is not None and is_grid_read(tensor, trace.predictions, operations, axes):
            return seen
    raise InputError(
        "No feature map lies on every path from the image to the prediction, so the attention layer cannot be found "
        'automatically. Name it with attention_layer="..."; layers whose output has spatial extent: '
        f"{listing(_spatial_paths(trace.calls, axes)) or 'none; use larger images'}."
    )


def _observable(calls: list[Call], tensor: tf.Tensor) -> tuple[Call, str] | None:
    """The layer's call from which a tensor can be taken: the one that made it, or else the first that was given it."""
    source = _source(tensor)
    number = collections.Counter(call.path for call in calls)
    once = [call for call in calls if number[call.path] == 1]
    makers = [call for call in once if tf.is_symbolic_tensor(call.output) and _source(call.output) is source]
    if makers:  # a nested model returns the very tensor of its last layer: the layer that made it ended first
        return makers[0], "output"
    # The tape watches what a layer is given from then on: nobody may have read it before, and no cast come between.
    readers = [call for call in once if call.input is tensor and call.num_readers == 0]
    return (readers[0], "input") if readers else None


def _spatial_paths(calls: list[Call], axes: dict[str, Axes]) -> dict[str, None]:
    spatial = (call for call in calls if tf.is_symbolic_tensor(call.output) and _extent(axes.get(call.output.name, ())))
    return dict.fromkeys(call.path for call in spatial)


def _find_call(calls: list[Call], layers: dict[str, keras.layers.Layer], axes: dict[str, Axes], name: str) -> Call:
    spatial_paths = listing(_spatial_paths(calls, axes))
    path = find_path(layers, name, "attention_layer", f"Layers with a spatial output: {spatial_paths}")
    matching = [call for call in calls if call.path == path]
    if len(matching) != 1:
        raise InputError(
            f"attention_layer={name!r} is called {len(matching)} times in one forward pass; the attention layer must "
            "be called exactly once. Name another layer."
        )
    return matching[0]


def _extent(axes: Axes) -> tuple[tuple[int, int] | None, TokenGrid | None] | None:
    """(h, w) and the grid of tokens; None for axes that hold no map, or a map of a single row or column."""
    if is_map(axes):
        (height,), (width,) = axes[1], axes[2]
        if 1 in (height.size, width.size):
            return None
        is_known = height.size is not None and width.size is not None
        return ((height.size, width.size) if is_known else None), None  # type: ignore[return-value]
    grid = token_grid(axes[1]) if len(axes) == 3 else None
    return None if grid is None or 1 in grid[:2] else (grid[:2], grid)


def _spatial_extent(
    features: Any, axes: dict[str, Axes], path: str | None
) -> tuple[tuple[int, int] | None, TokenGrid | None]:
    if tf.is_tensor(features):
        known = axes.get(features.name, ())
        extent = _extent(known)
        if extent is None and not known:  # the axes could not be followed: the shape, and whoever named it, decide
            shape = features.shape
            if shape.rank == 4 and 1 not in shape[1:3]:
                extent = (None if None in shape[1:3] else tuple(shape[1:3])), None
            elif shape.rank == 3 and shape[1] and math.isqrt(shape[1]) ** 2 == shape[1] > 1:
                side = math.isqrt(shape[1])
                extent = (side, side), TokenGrid(side, side)
        if extent is not None:
            return extent
    where = f"attention layer {path!r}" if path else "features model"
    shape = features.shape if tf.is_tensor(features) else type(features).__name__
    raise InputError(
        "The attention map needs the image's rows and columns: (batch, h, w, channels) with h, w > 1, or (batch, "
        "tokens, channels) of which the network itself shows how they were unfolded from such a map. The "
        f"{where} gives {shape}. Choose another layer, or use larger images."
    )


def _find_logits(
    calls: list[Call], predictions: tf.Tensor, axes: dict[str, Axes]
) -> tuple[str, keras.layers.Layer | None]:
    operation = _source(predictions, ("Cast", "Identity", "Reshape", "Squeeze")).op
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
    made_by = _source(logits)
    dense_calls = [call for call in calls if isinstance(call.layer, keras.layers.Dense)]
    makers = [call.layer for call in dense_calls if _source(call.output) is made_by]
    return makers[-1] if makers else None


def _source(tensor: tf.Tensor, looked_through: tuple[str, ...] = ("Cast", "Identity")) -> tf.Tensor:
    """The tensor that a tensor's values come from, looking through copies and casts."""
    while tensor.op.type in looked_through:
        tensor = tensor.op.inputs[0]
    return tensor


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
