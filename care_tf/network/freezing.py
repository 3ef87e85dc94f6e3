"""Which layers train: everything up to a layer can be frozen for one stage and set free for the next."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.network.observation import find_path, layers_by_path, listing, walk_layers
from care_tf.network.trace import Call, NetworkTrace, ancestors, trace_classifier


class Freezer:
    """Freezes layers of a classifier and sets them free again.

    It remembers which layers trained when it was made: one that did not never becomes trainable here, and unfreezing
    goes back to exactly that. A compiled model keeps training what it was compiled for: compile it again afterwards.

    Args:
      classifier: Functional, Sequential, nested or subclassed, as its builder left it.
      trace: Its forward pass, where one has been traced already; None traces it when it is first needed.
      image_shape: (H, W, C) for a network that does not say it itself, as subclassed ones; None reads it.
    """

    def __init__(
        self, classifier: keras.Model, trace: NetworkTrace | None = None, image_shape: Sequence[int] | None = None
    ):
        self._classifier = classifier
        self._as_built = {layer: layer.trainable for layer in layers_by_path(classifier).values()}
        self._trace = trace
        self._image_shape = image_shape

    def freeze_through(self, layer_path: str | None) -> None:
        """Freezes a layer and every layer that its output depends on; all others are as they were built.

        What the layer depends on is read from a traced forward pass, so that branches beside it stay trainable in any
        kind of network. A layer that is called in several places is frozen when one of them counts. Frozen batch
        normalization runs in inference mode and its moving statistics stand still.

        Args:
          layer_path: Layer name, or "outer/inner" path; None freezes nothing, as `unfreeze`.

        Raises:
          InputError: The layer is unknown, ambiguous or never called, or nothing would be left to train. The
            classifier is then as before.
        """
        frozen = [] if layer_path is None else self._layers_through(layer_path)
        before = {layer: layer.trainable for layer in self._as_built}
        self.unfreeze()
        for layer in frozen:
            layer.trainable = False
        if frozen and not self._classifier.trainable_weights:
            _set_trainable(before)
            candidates = _with_weights(layers_by_path(self._classifier))
            raise InputError(
                f"Nothing would be left to train: every trainable layer lies at or before {layer_path!r}. Received "
                f"layer_path={layer_path!r}. Freeze through an earlier layer, such as one of {candidates}."
            )

    def unfreeze(self) -> None:
        """Sets every layer trainable that was so when this object was made."""
        _set_trainable(self._as_built)

    def _layers_through(self, name: str) -> list[keras.layers.Layer]:
        """The named layer and those that its output depends on."""
        if self._trace is None:
            self._trace = trace_classifier(self._classifier, self._image_shape)
        layers = self._trace.layers  # with those that the network made when it was built
        self._as_built = {layer: layer.trainable for layer in layers.values()} | self._as_built
        path = find_path(layers, name, "layer_path", f"Layers with weights: {_with_weights(layers)}")
        calls: dict[str, list[Call]] = {}
        for call in self._trace.calls:
            calls.setdefault(call.path, []).append(call)
        if path not in calls:
            raise InputError(
                f"The layer {path!r} is not called in a forward pass, so nothing can be frozen through it. Name one of "
                f"{_with_weights({called: layers[called] for called in layers if called in calls})}."
            )
        through = ancestors(tensor.op for call in calls[path] for tensor in _tensors(call))
        return [layers[called] for called, own in calls.items() if _counts(layers[called], own, through)]


def _set_trainable(values: dict[keras.layers.Layer, bool]) -> None:
    """Outer layers before inner ones, because Keras hands a layer's value down: the outer have more layers inside."""
    for layer, value in sorted(values.items(), key=lambda pair: -sum(1 for _ in walk_layers(pair[0]))):
        layer.trainable = value


def _with_weights(layers: dict[str, keras.layers.Layer]) -> str:
    return listing([path for path, layer in layers.items() if layer.weights])


def _tensors(call: Call) -> list[tf.Tensor]:
    return [tensor for tensor in tf.nest.flatten(call.output) if tf.is_tensor(tensor)]


def _counts(layer: keras.layers.Layer, calls: list[Call], operations: set[tf.Operation]) -> bool:
    """Whether a call's output is among the operations. Of a model with several outputs all must be: where only some
    are, the layers inside it count one by one."""
    every = all if isinstance(layer, keras.Model) else any
    outputs = [_tensors(call) for call in calls]
    return any(bool(output) and every(tensor.op in operations for tensor in output) for output in outputs)
