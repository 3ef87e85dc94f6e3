"""The last Dense layer of a classifier: which one it is, what it takes, and a fresh start for it."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.keras_generation import seeded_initial_weights
from care_tf.network.anatomy import read_last_dense
from care_tf.network.inputs import call_classifier
from care_tf.network.observation import observing
from care_tf.network.trace import NetworkTrace, trace_classifier
from care_tf.precision import at_least_float32


def last_dense(
    classifier: keras.Model, trace: NetworkTrace | None = None, image_shape: Sequence[int] | None = None
) -> keras.layers.Dense:
    """The Dense layer whose output is the classifier's, through an activation of its own or of a layer after it.

    Args:
      classifier: Functional, Sequential, nested or subclassed, with one output (B, classes).
      trace: Its forward pass, where one has been traced already.
      image_shape: (H, W, C) for a network that does not say it itself; None reads it.

    Returns:
      The layer itself, wherever it lies: in the classifier or in a model inside.

    Raises:
      InputError: The classifier does not end in a Dense layer, or its input shape is not known.
    """
    return found_dense(
        classifier, read_last_dense(trace if trace is not None else trace_classifier(classifier, image_shape))
    )


def found_dense(classifier: keras.Model, dense: keras.layers.Dense | None) -> keras.layers.Dense:
    """`last_dense` of a classifier whose anatomy, which holds the layer, has been read."""
    if dense is None:
        raise InputError(
            f"The classifier {classifier.name!r} must end in a Dense layer, if need be with an activation after it. "
            "Received one whose output is made by another layer. End it with Dense(classes)."
        )
    return dense


def embedding_model(
    classifier: keras.Model, trace: NetworkTrace | None = None, image_shape: Sequence[int] | None = None
) -> Callable[[Any], tf.Tensor]:
    """A function that gives images' embeddings: the last Dense layer's input.

    Args:
      classifier: As for `last_dense`; its weights at the time of each call are used.
      trace, image_shape: As for `last_dense`.

    Returns:
      (B, H, W, C), as the classifier takes it, or a dict with "image" and the further inputs -> (B, d), float32
      (float64 of a float64 classifier), in inference mode.

    Raises:
      InputError: As for `last_dense`.
    """
    dense = last_dense(classifier, trace, image_shape)

    @tf.function(autograph=False, reduce_retracing=True)
    def embed(inputs: Any) -> tf.Tensor:
        seen: list[tf.Tensor] = []
        with observing(dense, "call", lambda args, _: seen.append(args[0])):
            call_classifier(classifier, inputs, False)
        return at_least_float32(seen[-1])

    return lambda inputs: embed(tf.nest.map_structure(tf.convert_to_tensor, inputs))


def reinitialized(dense: keras.layers.Dense, seed: int) -> None:
    """Gives a built Dense layer new initial weights, in place, from its own initializers.

    The random state of Python, NumPy and TensorFlow stays as it was. A seed that an initializer was given is not used:
    it would draw the weights that the layer began with.

    Args:
      dense: The layer whose kernel and bias are replaced.
      seed: Any integer; the same one gives the same weights.

    Source: Kang et al. 2020, Sec. 4, classifier re-training (cRT): the classifier starts anew, the rest is kept.
    """
    config = dense.get_config()
    for name in ("kernel_initializer", "bias_initializer"):
        initializer = config[name]
        if isinstance(initializer, dict) and "seed" in initializer["config"]:
            config[name] = {**initializer, "config": {**initializer["config"], "seed": None}}
    with seeded_initial_weights(seed):
        fresh = type(dense).from_config(config)
        fresh.build((None, dense.kernel.shape[0]))
    dense.set_weights(fresh.get_weights())
