"""Where the attention maps of a classifier are found: at the layer that is shown, or at earlier ones as well."""

import collections
import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.network._axes import Axes, TokenGrid, is_map, token_grid
from care_tf.network._crossings import crossings, first_weighted, is_grid_read, operations_between
from care_tf.network.observation import find_path, listing
from care_tf.network.second_order import first_order_only
from care_tf.network.trace import Call, NetworkTrace, source_of


@dataclasses.dataclass(frozen=True)
class AttentionPlace:
    """Where one attention map of a classifier is found.

    Attributes:
      attention_path: "outer/inner" path of the attention layer; None when a features model gives the map.
      attention_layer: The layer itself; None likewise.
      attention_side: "output", or "input" where the map is what the layer is given, because no layer made it.
      map_size: (h, w) of the map; None where it depends on the size of the image.
      map_channels: d of the map.
      grid: How tokens fold back to the map; None for a map (B, h, w, channels).
      pooled_dense: The Dense layer of a head that is exactly global average pooling + Dense; else None.
      first_order_only: Operation types between the map and the logits that have no second-order gradient.
    """

    attention_path: str | None
    attention_layer: keras.layers.Layer | None
    attention_side: str
    map_size: tuple[int, int] | None
    map_channels: int
    grid: TokenGrid | None
    pooled_dense: keras.layers.Dense | None
    first_order_only: tuple[str, ...]

    @property
    def name(self) -> str:
        """What messages call the attention layer."""
        return "the features model" if self.attention_path is None else self.attention_path

    @property
    def description(self) -> str:
        """For people: the layer, and the size of its map."""
        size = "as large as the image makes it" if self.map_size is None else "{} x {}".format(*self.map_size)
        tokens = "" if self.grid is None else f", folded from tokens after the first {self.grid.leading}"
        return f"{self.attention_side} of {self.name}, {size}{tokens}"


class SeenMap(NamedTuple):
    """A tensor that can be observed in a layer's call, its output or what it is given, and the map it holds."""

    path: str | None
    layer: keras.layers.Layer | None
    side: str
    features: Any
    size: tuple[int, int] | None
    grid: TokenGrid | None


def attention_layer_names(attention_layer: Any) -> tuple[str, ...]:
    """The names that an argument `attention_layer` holds.

    Args:
      attention_layer: A name, or a list of names.

    Raises:
      InputError: It is neither, or names nothing.
    """
    names = (attention_layer,) if isinstance(attention_layer, str) else attention_layer
    if not isinstance(names, Sequence) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(
            "attention_layer must be the name of a layer, or a list of names in the network's order. Received "
            f'attention_layer={attention_layer!r}. Give a name, or "auto".'
        )
    return tuple(names)


def seen_maps(
    trace: NetworkTrace, operations: list[tf.Operation], axes: dict[str, Axes], names: Sequence[str]
) -> list[SeenMap]:
    """The tensors of a traced classifier that hold its maps, in the order of the names.

    Args:
      trace: Of `trace_network`.
      operations: Those between the image and the prediction.
      axes: Of `follow_axes`.
      names: Each "auto", a layer name or an "outer/inner" path. Unused when the trace has features.

    Raises:
      InputError: A layer is unknown, ambiguous, without spatial extent, not on the way to the output or not computed
        from the one before it; or "auto" finds none.
    """
    if trace.features is not None:
        return [_seen_map(trace, axes, None, None, "output", trace.features)]
    seen = []
    for name in names:
        if name == "auto":
            call, side = _find_crossing(trace, operations, axes)
        else:
            call, side = _find_call(trace.calls, trace.layers, axes, name), "output"
        features = call.output if side == "output" else call.input
        seen.append(_seen_map(trace, axes, call.path, call.layer, side, features))
    for before, after in itertools.pairwise(seen):
        if not operations_between(before.features, after.features):
            raise InputError(
                "attention_layer must list different layers in the network's order, each computed from the one before "
                f"it: the last one's map is shown. Received {before.path!r} before {after.path!r}, which is not "
                "computed from it. Change the order, or name only one of the two."
            )
    return seen


def _seen_map(trace: NetworkTrace, axes: dict[str, Axes], path, layer, side: str, features: tf.Tensor) -> SeenMap:
    size, grid = _spatial_extent(features, axes, path)
    if not operations_between(features, trace.predictions):
        raise InputError(
            f"The attention layer {path!r} does not lead to the classifier's output, so the class score has no "
            "gradient there. Choose a layer between the input and the output."
        )
    return SeenMap(path, layer, side, features, size, grid)


def attention_place(trace: NetworkTrace, seen: SeenMap, logit_layer: keras.layers.Layer | None) -> AttentionPlace:
    """Where a map is found, and how its gradient is taken.

    Args:
      trace: Of `trace_network`.
      seen: Of `seen_maps`.
      logit_layer: The layer whose activation ends the network; None where it ends in logits.

    Raises:
      InputError: Nothing has a gradient at the map.
    """
    features, predictions = seen.features, trace.predictions
    pooled_dense = _find_pooled_dense(trace.calls, features, predictions, logit_layer)
    return AttentionPlace(
        attention_path=seen.path,
        attention_layer=seen.layer,
        attention_side=seen.side,
        map_size=seen.size,
        map_channels=int(features.shape[-1]),
        grid=seen.grid,
        pooled_dense=pooled_dense,
        first_order_only=() if pooled_dense is not None else first_order_only(features, predictions),
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
        f"{listing(_spatial_layers(trace.calls, axes)) or 'none; use larger images'}."
    )


def _observable(calls: list[Call], tensor: tf.Tensor) -> tuple[Call, str] | None:
    """The layer's call from which a tensor can be taken: the one that made it, or else the first that was given it."""
    source = source_of(tensor)
    number = collections.Counter(call.path for call in calls)
    once = [call for call in calls if number[call.path] == 1]
    makers = [call for call in once if tf.is_symbolic_tensor(call.output) and source_of(call.output) is source]
    if makers:  # a nested model returns the very tensor of its last layer: the layer that made it ended first
        return makers[0], "output"
    # The tape watches what a layer is given from then on: nobody may have read it before, and no cast come between.
    readers = [call for call in once if call.input is tensor and call.num_readers == 0]
    return (readers[0], "input") if readers else None


def _spatial_layers(calls: list[Call], axes: dict[str, Axes]) -> dict[str, tuple[int, int] | None]:
    """Path -> (h, w), None where the image decides, of every layer whose output has spatial extent."""
    found: dict[str, tuple[int, int] | None] = {}
    for call in calls:
        extent = _extent(axes.get(call.output.name, ())) if tf.is_symbolic_tensor(call.output) else None
        if extent is not None:
            found.setdefault(call.path, extent[0])
    return found


def _candidates(calls: list[Call], axes: dict[str, Axes]) -> str:
    """For a message: the last layers with a spatial output, and the last one of each size, for finer maps."""
    layers = _spatial_layers(calls, axes)
    last = {size: path for path, size in layers.items() if size is not None}
    sizes = listing([f"{path} ({size[0]} x {size[1]})" for size, path in last.items()])
    return f"Layers with a spatial output: {listing(layers)}" + (f"; the last of each size: {sizes}" if sizes else "")


def _find_call(calls: list[Call], layers: dict[str, keras.layers.Layer], axes: dict[str, Axes], name: str) -> Call:
    path = find_path(layers, name, "attention_layer", _candidates(calls, axes))
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


def _find_pooled_dense(calls, features, predictions, logit_layer) -> keras.layers.Dense | None:
    """The Dense layer when the head is exactly features -> GlobalAveragePooling2D -> Dense (-> activation)."""
    # A Dropout returns its input in inference mode, where this was traced: it shows up as one more reader, here of the
    # features and below of the pooled vector, and rules the closed form out.
    readers = [call for call in calls if _is_cast_of(call.input, features)]
    pools = [call for call in readers if type(call.layer) is keras.layers.GlobalAveragePooling2D]
    if features.shape.rank != 4 or len(pools) != 1 or len({id(c.output) for c in readers}) != 1:
        return None
    after = [call for call in calls if _is_cast_of(call.input, pools[0].output) and call.layer is not pools[0].layer]
    if len(after) != 1 or type(after[0].layer) is not keras.layers.Dense:
        return None
    dense = after[0]
    if dense.layer is logit_layer:
        return dense.layer
    is_linear = dense.layer.activation in (None, keras.activations.linear)
    if is_linear and logit_layer is None and _is_cast_of(predictions, dense.output):
        return dense.layer
    followers = [call for call in calls if _is_cast_of(call.input, dense.output)]
    if is_linear and logit_layer is not None and [call.layer for call in followers] == [logit_layer]:
        return dense.layer
    return None


def _is_cast_of(given: Any, tensor: tf.Tensor) -> bool:
    """Whether this is the tensor, or the tensor in another precision: a layer casts what it is called with.

    A cast from or to whole numbers is none of these: it has no gradient.
    """
    while given is not tensor and tf.is_tensor(given) and given.op.type == "Cast" and given.dtype.is_floating:
        (given,) = given.op.inputs
    return given is tensor
