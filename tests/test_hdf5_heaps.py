"""HDF5's heaps of texts: those that its library writes are walked to their end, broken ones are not."""

import struct

import h5py
import numpy as np
import pytest

from care_tf.errors import InputError
from care_tf.hdf5_heaps import is_walked_to_its_end
from care_tf.model_file import refuse_code

HEADER = 16


@pytest.fixture
def content(tmp_path):
    """Of a file with texts of many lengths in several heaps."""
    with h5py.File(tmp_path / "texts.h5", "w") as file:
        for number in range(40):
            file.create_group(f"{number}").attrs["texts"] = ["a" * length for length in range(0, 400, number + 1)]
    found = (tmp_path / "texts.h5").read_bytes()
    assert found.count(b"GCOL\x01") > 3
    return bytearray(found)


def test_what_the_library_writes_has_an_end(content):
    assert is_walked_to_its_end(bytes(content))
    numbers = np.random.default_rng(0).bytes(10**6)
    assert is_walked_to_its_end(bytes(content) + numbers + b"GCOL\x01" + numbers + b"GCOL\x01")


@pytest.mark.parametrize("step", [0, -8, -32, 2**20])
@pytest.mark.parametrize("number", [0, 1])
def test_a_step_that_leads_nowhere_back_or_outside_is_found(content, number, step):
    start = content.find(b"GCOL\x01") + HEADER
    size = (step - HEADER * bool(number)) % 2**64
    content[start : start + HEADER] = struct.pack("<HHIQ", number, 1, 0, size)
    assert not is_walked_to_its_end(bytes(content))


def test_heaps_within_heaps_take_no_longer_than_the_file_is_large():
    num_heaps = 20_000  # each of which would be walked to the end
    heaps = [struct.pack("<8sQ", b"GCOL\x01", (num_heaps - number) * HEADER) for number in range(num_heaps)]
    assert not is_walked_to_its_end(b"".join(heaps))


@pytest.mark.parametrize("number", [0, 7])
def test_a_description_that_the_library_would_read_forever_is_refused(tmp_path, number):
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}"
    refuse_code(path)
    content = bytearray(path.read_bytes())
    start = content.find(b"GCOL\x01") + HEADER
    content[start : start + HEADER] = struct.pack("<HHIQ", number, 1, 0, (-HEADER * bool(number)) % 2**64)
    path.write_bytes(content)
    with pytest.raises(InputError, match="must hold the numbers of a network.* Received a heap of texts"):
        refuse_code(path)
