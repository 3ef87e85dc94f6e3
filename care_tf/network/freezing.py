"""Which layers train: everything up to a layer can be frozen for one stage and set free for the next."""

import contextlib
import weakref
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.keras_generation import call_model
from care_tf.network.input_spec import image_spec
from care_tf.network.observation import layers_by_path, observing, walk_layers

MAX_CANDIDATES = 12

# `trainable` of every layer when it was first seen here: what unfreezing goes back to.
_first_seen: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def freeze_through(classifier: keras.Model, layer_path: str | None, image_shape: Sequence[int] | None = None) -> None:
    """Freezes a layer and every layer that its output depends on; all others train.

    What the layer depends on is read from a traced forward pass, so that branches beside it stay trainable in any kind
    of network. A layer that is called in several places is frozen when one of them counts. Frozen batch normalization
    runs in inference mode and its moving statistics stand still.

    Every call starts from the network as its builder left it: a layer that was not trainable when this module first
    saw it never becomes trainable here, and what an earlier call froze is set free unless this one freezes it again.
    A model loaded from a file is first seen as it was saved.

    A compiled model keeps training what it was compiled for: compile it again afterwards.

    Args:
      classifier: Functional, Sequential, nested or subclassed.
      layer_path: Layer name, or "outer/inner" path; None freezes nothing, as `unfreeze`.
      image_shape: (H, W, C) for a network that does not say it itself, as subclassed ones; None reads it.

    Raises:
      InputError: The layer is unknown, ambiguous or never called, or nothing would be left to train. The classifier is
        then as before.
    """
    if layer_path is None:
        unfreeze(classifier)
        return
    layers = layers_by_path(classifier)
    path = _full_path(layers, layer_path)
    frozen = _layers_behind(classifier, layers, path, image_spec(classifier, image_shape))
    before = [(layer, layer.trainable) for layer in layers.values()]
    unfreeze(classifier)
    for layer in frozen:
        layer.trainable = False
    if not classifier.trainable_weights:
        _set_trainable(before)
        raise InputError(
            f"Nothing would be left to train: every trainable layer lies at or before {path!r}. Received "
            f"layer_path={layer_path!r}. Freeze through an earlier layer, such as one of {_listing(layers)}."
        )


def unfreeze(classifier: keras.Model) -> None:
    """Sets every layer trainable that was so when this module first saw it.

    Args:
      classifier: As for `freeze_through`. Compile it again afterwards.
    """
    layers = layers_by_path(classifier).values()
    _set_trainable([(layer, _first_seen.setdefault(layer, layer.trainable)) for layer in layers])


def _set_trainable(values: list[tuple[keras.layers.Layer, bool]]) -> None:
    """Holders before what they hold, because Keras hands a layer's value down: they have more layers inside."""
    for layer, value in sorted(values, key=lambda pair: -sum(1 for _ in walk_layers(pair[0]))):
        layer.trainable = value


def _full_path(layers: dict[str, keras.layers.Layer], name: str) -> str:
    paths = [path for path in layers if path == name] or [path for path in layers if path.split("/")[-1] == name]
    if not paths:
        raise InputError(
            f"layer_path={name!r} is not a layer of the classifier. Layers with weights: {_listing(layers)}."
        )
    if len(paths) > 1:
        raise InputError(
            f"layer_path={name!r} names several layers; give one of the paths {', '.join(paths[:MAX_CANDIDATES])}."
        )
    return paths[0]


def _listing(layers: dict[str, keras.layers.Layer]) -> str:
    paths = [path for path, layer in layers.items() if layer.weights]
    return ", ".join(paths) if len(paths) <= MAX_CANDIDATES else ", ".join(["...", *paths[-MAX_CANDIDATES:]])


def _layers_behind(classifier, layers, path: str, spec: tf.TensorSpec) -> list[keras.layers.Layer]:
    """The layer at `path` and those that its output depends on."""
    outputs: dict[str, list[list[tf.Tensor]]] = {name: [] for name in layers}
    frozen: list[keras.layers.Layer] = []

    def trace(image: tf.Tensor) -> None:
        with contextlib.ExitStack() as stack:
            for name, layer in layers.items():
                stack.enter_context(observing(layer, "call", _collector(outputs[name])))
            call_model(classifier, image, False)
        ancestors = _ancestors([tensor for call in outputs[path] for tensor in call])
        frozen.extend(layer for name, layer in layers.items() if _counts(layer, outputs[name], ancestors))

    with tf.init_scope():
        tf.function(trace, autograph=False).get_concrete_function(spec)
    if not outputs[path]:
        raise InputError(
            f"The layer {path!r} is not called in a forward pass, so nothing can be frozen through it. Name one of "
            f"{_listing({name: layers[name] for name, calls in outputs.items() if calls})}."
        )
    return frozen


def _collector(calls: list[list[tf.Tensor]]):
    def collect(_args: tuple, result: Any) -> None:
        calls.append([tensor for tensor in tf.nest.flatten(result) if tf.is_tensor(tensor)])

    return collect


def _counts(layer: keras.layers.Layer, calls: list[list[tf.Tensor]], ancestors: set) -> bool:
    """Whether a call's output is among the ancestors. Of a model with several outputs all must be: where only some
    are, the layers inside it count one by one."""
    every = all if isinstance(layer, keras.Model) else any
    return any(bool(call) and every(tensor.op in ancestors for tensor in call) for call in calls)


def _ancestors(tensors: list[tf.Tensor]) -> set:
    """The operations that make the tensors, and all that these depend on."""
    ancestors: set = set()
    queue = [tensor.op for tensor in tensors]
    while queue:
        operation = queue.pop()
        if operation not in ancestors:
            ancestors.add(operation)
            queue.extend(tensor.op for tensor in operation.inputs)
    return ancestors
