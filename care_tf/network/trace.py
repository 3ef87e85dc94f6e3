"""One traced forward pass of a classifier: which layer was called on what, and what it gave."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from care_tf.keras_generation import call_model
from care_tf.network.input_spec import image_spec
from care_tf.network.observation import layers_by_path, observing

Forward = Callable[[tf.Tensor], tuple[tf.Tensor | None, tf.Tensor]]


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer: its path, itself, its first argument and what it returned, as symbolic tensors.

    `start` counts the calls in the order in which they began.
    """

    path: str
    layer: keras.layers.Layer
    input: Any
    output: Any
    start: int


@dataclasses.dataclass(frozen=True)
class NetworkTrace:
    """A forward pass in a graph of its own. Whatever must be known of a network is read from it.

    Attributes:
      layers: Path -> layer, of all layers and operators that may be called.
      calls: In the order in which they ended.
      image: What the classifier was given.
      features: What an explicit features model gave; None without one.
      predictions: What the classifier gave.
      graph: Keeps the tensors alive.
    """

    layers: dict[str, keras.layers.Layer]
    calls: list[Call]
    image: tf.Tensor
    features: tf.Tensor | None
    predictions: tf.Tensor
    graph: Any = dataclasses.field(repr=False)


def trace_network(forward: Forward, layers: dict[str, keras.layers.Layer], spec: tf.TensorSpec) -> NetworkTrace:
    """Traces a forward pass once, in a graph that is used for nothing else.

    Args:
      forward: image -> (features or None, predictions) in inference mode; the features of an explicit features model,
        else None.
      layers: Path -> layer, of all layers and operators that may be called.
      spec: Shape and dtype of an image batch.
    """
    calls: list[Call] = []
    results: list[tuple[tf.Tensor, tf.Tensor | None, tf.Tensor]] = []

    started = itertools.count()

    def record(path: str, layer: keras.layers.Layer) -> contextlib.AbstractContextManager[None]:
        starts: list[int] = []  # a layer may be called inside its own call

        def after(args: tuple, result: Any) -> None:
            calls.append(Call(path, layer, args[0] if args else None, result, starts.pop()))

        return observing(layer, "call", after, before=lambda args: starts.append(next(started)))

    def trace(image: tf.Tensor) -> None:
        with contextlib.ExitStack() as stack:
            for path, layer in layers.items():
                stack.enter_context(record(path, layer))
            results.append((image, *forward(image)))

    with tf.init_scope():
        graph = tf.function(trace, autograph=False).get_concrete_function(spec)
    image, features, predictions = results[-1]
    return NetworkTrace(layers, calls, image, features, predictions, graph)


def trace_classifier(classifier: keras.Model, image_shape: Sequence[int] | None = None) -> NetworkTrace:
    """Traces a classifier as a whole.

    Args:
      classifier: Functional, Sequential, nested or subclassed, with one input.
      image_shape: (H, W, C) for a network that does not say it itself; None reads it.

    Raises:
      InputError: Its input shape is not known.
    """
    spec = image_spec(classifier, image_shape)
    return trace_network(lambda image: (None, call_model(classifier, image, False)), layers_by_path(classifier), spec)
