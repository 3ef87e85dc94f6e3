"""One traced forward pass of a classifier: which layer was called on what, and what it gave."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.network._operation_kinds import SHAPE_ONLY
from care_tf.network.inputs import call_classifier, input_specs, symbolic_inputs
from care_tf.network.observation import layers_by_path, observing
from care_tf.network_input import image_of

Forward = Callable[[Any], tuple[tf.Tensor | None, tf.Tensor]]


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer: its path, itself, its first argument and what it returned, as symbolic tensors.

    `num_readers` is the number of operations that had read the first argument's values when the call began.
    """

    path: str
    layer: keras.layers.Layer
    input: Any
    output: Any
    num_readers: int


@dataclasses.dataclass(frozen=True)
class NetworkTrace:
    """A forward pass in a graph of its own. Whatever must be known of a network is read from it.

    Attributes:
      layers: Path -> layer, of all layers that may be called.
      calls: In the order in which they ended.
      image: What the classifier was given; of several inputs, the image.
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


def _num_readers(args: tuple) -> int:
    if not args or not tf.is_symbolic_tensor(args[0]):
        return 0
    return sum(operation.type not in SHAPE_ONLY for operation in args[0].consumers())


def trace_network(forward: Forward, layers: dict[str, keras.layers.Layer], specs: Any) -> NetworkTrace:
    """Traces a forward pass once, in a graph that is used for nothing else.

    Args:
      forward: Inputs -> (features or None, predictions) in inference mode; the features of an explicit features model,
        else None.
      layers: Path -> layer, of all layers that may be called.
      specs: Shape and dtype of an image batch, or of all inputs, of `inputs.input_specs`.
    """
    calls: list[Call] = []
    results: list[tuple[tf.Tensor, tf.Tensor | None, tf.Tensor]] = []

    def record(path: str, layer: keras.layers.Layer) -> contextlib.AbstractContextManager[None]:
        counts: list[int] = []  # a layer may be called inside its own call

        def after(args: tuple, result: Any) -> None:
            calls.append(Call(path, layer, args[0] if args else None, result, counts.pop()))

        return observing(layer, "call", after, before=lambda args: counts.append(_num_readers(args)))

    def trace(inputs: Any) -> None:
        with contextlib.ExitStack() as stack:
            for path, layer in layers.items():
                stack.enter_context(record(path, layer))
            results.append((image_of(inputs), *forward(inputs)))

    with tf.init_scope():
        graph = tf.function(trace, autograph=False).get_concrete_function(specs)
    image, features, predictions = results[-1]
    return NetworkTrace(layers, calls, image, features, predictions, graph)


def trace_classifier(classifier: keras.Model, image_shape: Sequence[int] | None = None) -> NetworkTrace:
    """Traces a classifier as a whole.

    Args:
      classifier: Functional, Sequential, nested or subclassed, with an image among its inputs.
      image_shape: (H, W, C) for a network that does not say it itself; None reads it.

    Raises:
      InputError: Its input shape is not known.
    """
    specs = _built_input_specs(classifier, image_shape)
    forward = functools.partial(call_classifier, classifier, training=False)
    return trace_network(lambda inputs: (None, forward(inputs)), layers_by_path(classifier), specs)


def _built_input_specs(classifier: keras.Model, image_shape: Sequence[int] | None) -> Any:
    """What the network says that it takes, or images of a given shape; builds a network that has never been called.

    Raises:
      InputError: The classifier's input shape is not known.
    """
    if getattr(classifier, "inputs", None):
        return input_specs(symbolic_inputs(classifier))
    if image_shape is None:
        raise InputError(
            f"The classifier {classifier.name!r} does not say which images it takes: it is neither a Functional nor a "
            "built Sequential model. Received image_shape=None. Pass image_shape=(height, width, channels)."
        )
    spec = tf.TensorSpec([None, *image_shape], tf.float32)
    build_network(classifier, functools.partial(call_classifier, classifier, training=False), spec)
    return spec


def build_network(classifier: keras.Model, call: Callable[[Any], tf.Tensor], specs: Any) -> None:
    """Calls a network that has never been called once, unobserved: Keras runs `call` once more to build it."""
    if not classifier.built or not all(layer.built for layer in layers_by_path(classifier).values()):
        with tf.init_scope():
            tf.function(call).get_concrete_function(specs)


def ancestors(operations: Iterable[tf.Operation]) -> set[tf.Operation]:
    """Operations of a graph, and all that their inputs depend on."""
    found: set[tf.Operation] = set()
    queue = list(operations)
    while queue:
        operation = queue.pop()
        if operation not in found:
            found.add(operation)
            queue.extend(tensor.op for tensor in operation.inputs)
    return found


def source_of(tensor: tf.Tensor, looked_through: tuple[str, ...] = ("Cast", "Identity")) -> tf.Tensor:
    """The tensor that a tensor's values come from, looking through copies and casts."""
    while tensor.op.type in looked_through:
        tensor = tensor.op.inputs[0]
    return tensor
