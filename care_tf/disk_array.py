"""Arrays that lie on the disk."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt


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
