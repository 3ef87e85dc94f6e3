"""Keras models in files, loaded without running the byte code of a `Lambda` layer."""

import json
import os
from typing import TYPE_CHECKING, Any

from care_tf.errors import InputError
from care_tf.file_in_memory import check_no_pipe
from care_tf.interrupts import interrupt_held

if TYPE_CHECKING:
    import keras


def load_keras_file(path: str | os.PathLike) -> "keras.Model":
    """The model of a `.keras` or HDF5 file, not compiled; the byte code of a `Lambda` in it is not run.

    Keras's safe mode refuses a `Lambda` layer, whose function lies in the file as byte code, but Keras 2 and older
    releases of Keras 3 know that mode for `.keras` alone. On Keras 2.15 a file of strangers is still not to be trusted:
    that imports the modules that a `.keras` file names.

    Args:
      path: The file.

    Returns:
      The model.

    Raises:
      InputError: It is an HDF5 file with a `Lambda` layer, a pipe or a device.
      Exception: Whatever Keras raises where it cannot read the file, or finds such a layer in a `.keras` file.
    """
    import keras

    check_no_pipe(path)
    with interrupt_held():
        if _has_lambda(path):
            raise InputError(
                f"{path} holds a Lambda layer, whose code would run here. Save the model in Keras' own format with a "
                "registered layer in its place, or as a SavedModel."
            )
        return keras.models.load_model(path, compile=False)


def _has_lambda(path: str | os.PathLike) -> bool:
    import h5py

    if not h5py.is_hdf5(path):
        return False
    with h5py.File(path, "r") as file:
        config = file.attrs.get("model_config")
    return config is not None and _names_lambda(json.loads(config))


def _names_lambda(config: Any) -> bool:
    """Whether a configuration holds a `Lambda`, however deep: as a layer, or within a wrapper or a nested model."""
    if isinstance(config, dict):
        return config.get("class_name") == "Lambda" or any(_names_lambda(each) for each in config.values())
    return isinstance(config, list) and any(_names_lambda(each) for each in config)
