"""Weights as HDF5 files, written only where there is room for them."""

from pathlib import Path

import keras
import numpy as np

from care_tf.disk_array import take_room

_OVERHEAD_BYTES, _OVERHEAD_OF_EACH = 2**16, 2**12  # of a file, and of each array in it: names, groups, alignment


def save_weights(model: keras.Model, path: Path) -> None:
    """`model.save_weights`, optimizer included.

    HDF5 can end the process with a segmentation fault where the disk is full. So room is taken first, and given back.

    Raises:
      OSError: There is no room.
    """
    optimizer = getattr(model, "optimizer", None)
    variables = [*model.weights, *([] if optimizer is None else _variables(optimizer))]
    sizes = [4 * int(np.prod(each.shape)) + _OVERHEAD_OF_EACH for each in variables]  # float32, mostly
    take_room(path, sum(sizes) + _OVERHEAD_BYTES)
    path.unlink()
    model.save_weights(str(path))


def _variables(optimizer: keras.optimizers.Optimizer) -> list:
    variables = optimizer.variables
    return list(variables() if callable(variables) else variables)  # Keras 2 has a method in some optimizers
