"""Weights that are no longer numbers, which a finite loss can hide: a ReLU turns NaN into 0."""

import keras
import tensorflow as tf


def weights_not_finite(model: keras.Model) -> list[str]:
    """The weights of a model that hold a NaN or an infinity.

    Args:
      model: A built model.

    Returns:
      Their names, with the layer's where Keras has it, in the model's order.
    """
    floating = [weight for weight in model.weights if tf.as_dtype(weight.dtype).is_floating]
    finite = [bool(tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(weight)))) for weight in floating]
    names = [getattr(weight, "path", weight.name) for weight in floating]
    return [name for name, is_finite in zip(names, finite, strict=True) if not is_finite]
