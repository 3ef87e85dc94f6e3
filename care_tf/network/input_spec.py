"""The images that a classifier takes, for tracing it without any."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.keras_generation import call_model
from care_tf.network.observation import layers_by_path


def image_spec(classifier: keras.Model, image_shape: Sequence[int] | None = None) -> tf.TensorSpec:
    """Shape and dtype of an image batch; builds a network that has never been called.

    Args:
      classifier: Any classifier with one input.
      image_shape: (H, W, C) for a network that does not say it itself, as subclassed ones; None reads it.

    Returns:
      A spec of shape (None, H, W, C).

    Raises:
      InputError: The classifier's input shape is not known.
    """
    if getattr(classifier, "inputs", None):
        first = classifier.inputs[0]
        return tf.TensorSpec([None, *first.shape[1:]], first.dtype)
    if image_shape is None:
        raise InputError(
            f"The classifier {classifier.name!r} does not say which images it takes: it is neither a Functional nor a "
            "built Sequential model. Received image_shape=None. Pass image_shape=(height, width, channels)."
        )
    spec = tf.TensorSpec([None, *image_shape], tf.float32)
    build_network(classifier, lambda image: call_model(classifier, image, False), spec)
    return spec


def build_network(classifier: keras.Model, call: Callable[[tf.Tensor], tf.Tensor], spec: tf.TensorSpec) -> None:
    """Calls a network that has never been called once, unobserved: Keras runs `call` once more to build it."""
    if not classifier.built or not all(layer.built for layer in layers_by_path(classifier).values()):
        with tf.init_scope():
            tf.function(call).get_concrete_function(spec)
