import errno
import os

import numpy as np
import pytest

from care_tf.disk_array import load_array, reserved_array
from care_tf.errors import InputError
from care_tf.files import atomic_path


def test_the_room_is_taken_before_anything_is_written(tmp_path):
    array = reserved_array(tmp_path / "images.npy", (100, 50, 40, 3), np.uint8)
    assert os.stat(tmp_path / "images.npy").st_blocks * 512 >= array.nbytes
    array[7] = 9
    array.flush()
    read = np.load(tmp_path / "images.npy")
    assert read.shape == (100, 50, 40, 3) and read.dtype == np.uint8 and read[7].min() == 9 and read.sum() == 9 * 6000


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor, start, length):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with (
        pytest.raises(InputError, match="cache cannot be written: No space left"),
        atomic_path(tmp_path / "cache") as path,
    ):
        path.mkdir()
        reserved_array(path / "images.npy", (10,), np.float32)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("contents", [b"", b"\x93NUMPY\x01\x00", b"no array"])
def test_a_damaged_cache_is_told_in_a_line(tmp_path, contents):
    (tmp_path / "images.npy").write_bytes(contents)
    with pytest.raises(InputError, match="images.npy cannot be read: .*it is made anew"):
        load_array(tmp_path / "images.npy", mmap_mode="r")
