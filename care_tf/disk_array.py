"""Arrays that lie on the disk."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from care_tf.errors import InputError, clause, reason


def load_array(path: Path, mmap_mode: Any = None) -> np.ndarray:
    """The array of a .npy file that an earlier call has left in a folder of its own; `mmap_mode` as of `numpy.load`.

    Raises:
      InputError: The file is damaged.
    """
    try:
        return np.load(path, mmap_mode=mmap_mode)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"The cached array {path} cannot be read: {clause(reason(error))}. Choose another data.cache, or move "
            f"{path.parent} away; it is made anew."
        ) from error


def reserved_array(path: Path, shape: Sequence[int], dtype: npt.DTypeLike) -> np.memmap:
    """A new .npy file, mapped into memory; its room on the disk is taken first, so that a full one is an error here.

    Raises:
      OSError: The disk has no room for it.
    """
    array = np.lib.format.open_memmap(path, "w+", dtype, tuple(shape))
    take_room(path, os.stat(path).st_size)
    return array


def take_room(path: Path, num_bytes: int) -> None:
    """Takes room on the disk for a file, which is made if it does not exist; what it holds stays.

    Raises:
      OSError: There is none.
    """
    with open(path, "ab") as file:
        os.posix_fallocate(file.fileno(), 0, num_bytes)
