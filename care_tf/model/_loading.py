"""Loading a saved model whatever has been imported before."""

import os
from typing import Any

import keras

from care_tf.registration import register_all


def load_model(path: str | os.PathLike, **arguments: Any) -> keras.Model:
    """`keras.models.load_model` that knows care_tf's classes in any order of imports.

    Args:
      path: A .keras file, of a `CAREModel` or of any other Keras model.
      **arguments: As of `keras.models.load_model`: `compile`, `safe_mode`, `custom_objects`.

    Returns:
      The model.

    Raises:
      ValueError: As `keras.models.load_model` raises it.
    """
    register_all()
    return keras.models.load_model(path, **arguments)
