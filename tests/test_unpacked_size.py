"""Model files that would fill the memory, or give another file's content: refused before, by what they say of sizes."""

import io
import json
import struct
import tracemalloc
import zipfile

import h5py
import keras
import numpy as np
import pytest

from care_tf.errors import InputError
from care_tf.model_file import load_network, refuse_code

MIB = 2**20
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Keras about HDF5


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """Of a small network's `.keras` file: name -> content."""
    path = tmp_path_factory.mktemp("network") / "model.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def refused_in_bounds(path, message, most_bytes):
    """The refusal's message fits, and Python took at most so much memory for it."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message) as refusal:
            load_network(path)
        assert tracemalloc.get_traced_memory()[1] < most_bytes
    finally:
        tracemalloc.stop()
    assert "\n" not in str(refusal.value)


def test_a_deflated_network_is_welcome(tmp_path, members):
    """Zeros deflate a thousandfold: below 256 MiB that is nobody's harm."""
    zeros = {**members, "assets/zeros": bytes(30 * MIB)}
    assert load_network(packed(tmp_path / "model.keras", zeros)).count_params() == 15


def test_a_description_that_inflates_to_50_mib_is_not_inflated(tmp_path, members):
    path = packed(tmp_path / "model.keras", {**members, "config.json": members["config.json"] + b" " * (50 * MIB)})
    assert path.stat().st_size < MIB
    refused_in_bounds(path, r"must describe its network in at most 16,777,216 bytes\. Received 52,4", MIB)


@pytest.mark.parametrize("name", ["model.weights.h5", "assets/words.txt"])
def test_members_unpack_to_four_times_the_file_or_256_mib(tmp_path, members, name):
    path = packed(tmp_path / "model.keras", {**members, name: bytes(257 * MIB)})
    refused_in_bounds(path, r"must unpack to at most 268,435,456 bytes.* Received 269,", MIB)


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_a_member_larger_than_the_archive_says_is_read_no_further(tmp_path, members, name):
    path = packed(tmp_path / "model.keras", {**members, name: members[name] + b" " * (50 * MIB)})
    content = bytearray(path.read_bytes())
    told = struct.pack("<I", len(members[name]) + 50 * MIB)
    assert content.count(told) == 2  # before the member, and in the directory
    path.write_bytes(content.replace(told, struct.pack("<I", len(members[name]))))
    refused_in_bounds(path, f"must say how large its {name} is. Received more than", MIB)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_packed_by_what_python_unpacks_without_a_bound_are_refused(tmp_path, members, method):
    path = packed(tmp_path / "model.keras", members, method)
    refused_in_bounds(path, f"must hold stored or deflated members.*packed by method {method}", MIB)


def compressed(file, tmp_path):
    file.create_dataset("zeros", shape=(10**10,), dtype="f8", compression="gzip")


def never_written(file, tmp_path):
    file.create_dataset("zeros", shape=(10**10,), dtype="f8")


def chunks_never_written(file, tmp_path):
    file.create_dataset("zeros", shape=(10**10,), dtype="f8", chunks=(1000,))


def texts(file, tmp_path):
    file["texts"] = np.array(["a" * 1000] * 100, dtype=h5py.string_dtype())


def external_data(file, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(800))
    file.create_dataset("secret", shape=(100,), dtype="f8", external=[(str(tmp_path / "secret"), 0, 800)])


def virtual_data(file, tmp_path):
    layout = h5py.VirtualLayout(shape=(100,), dtype="f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "data", shape=(100,))
    file.create_virtual_dataset("secret", layout)


def external_link(file, tmp_path):
    file["secret"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "data")


HARMFUL = [
    (compressed, "more than 268,435,456 bytes: 4 times the file's size, or 256 MiB: '/a/zeros'"),
    (never_written, "more than 268,435,456 bytes: .*'/a/zeros'"),
    (chunks_never_written, "more than 268,435,456 bytes: .*'/a/zeros'"),
    (texts, "texts of any length: '/a/texts'"),
    (external_data, "a data set in another file: '/a/secret'"),
    (virtual_data, "a data set in another file: '/a/secret'"),
    (external_link, "a link to another file: '/a'"),
]


@pytest.mark.parametrize(("make", "found"), HARMFUL)
def test_hdf5_that_gives_more_than_it_holds_is_refused_in_both_formats(tmp_path, members, make, found):
    weights = io.BytesIO(members["model.weights.h5"])
    with h5py.File(weights, "a") as file:
        make(file.create_group("a"), tmp_path)
    packed(tmp_path / "model.keras", {**members, "model.weights.h5": weights.getvalue()})
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save(tmp_path / "model.h5")
    refuse_code(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "a") as file:
        make(file.create_group("a"), tmp_path)
    for name in ("model.keras", "model.h5"):
        refused_in_bounds(tmp_path / name, f"must hold the numbers of a network.* Received {found}", 4 * MIB)


def test_weights_that_somebody_compressed_are_welcome(tmp_path, members):
    weights = io.BytesIO(members["model.weights.h5"])
    with h5py.File(weights, "a") as file:
        file.create_dataset("a", data=np.zeros(10**6), compression="gzip", shuffle=True, fletcher32=True)
    assert len(weights.getvalue()) < MIB
    refuse_code(packed(tmp_path / "model.keras", {**members, "model.weights.h5": weights.getvalue()}))


def test_weights_in_an_archive_are_searched_on_the_disk(tmp_path, members):
    weights = io.BytesIO(members["model.weights.h5"])
    with h5py.File(weights, "a") as file:
        file["a"] = np.zeros(4 * MIB)
    path = packed(tmp_path / "model.keras", {**members, "model.weights.h5": weights.getvalue()}, zipfile.ZIP_STORED)
    del weights
    tracemalloc.start()
    try:
        refuse_code(path)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB  # of 32
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [str, np.bytes_])
def test_a_description_in_hdf5_has_the_same_bound(tmp_path, kind):
    with h5py.File(tmp_path / "model.h5", "w", libver="latest") as file:
        file.attrs["model_config"] = kind(json.dumps({"class_name": "Sequential", "config": {}}) + " " * (17 * MIB))
    with pytest.raises(InputError, match=r"must describe its network in at most 16,777,216 bytes\. Received 17,8"):
        refuse_code(tmp_path / "model.h5")


def test_groups_in_groups_are_searched_in_a_time_that_grows_with_their_number(tmp_path):
    """`visititems` of h5py takes minutes here."""
    with h5py.File(tmp_path / "model.h5", "w", libver="latest") as file:
        group = file
        for _ in range(20_000):
            group = group.create_group("a")
        group["round"] = file  # a circle, too
        group.create_dataset("zeros", shape=(10**10,))
    with pytest.raises(InputError, match="more than 268,435,456 bytes"):
        refuse_code(tmp_path / "model.h5")
