import os
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from care_tf.data import evaluation_dataset, read_manifest
from care_tf.data.shards import write_shards
from care_tf.errors import InputError
from care_tf.file_in_memory import open_file
from care_tf.images.header import read_image_header
from care_tf.images.pixels import read_image, read_mask
from care_tf.shard_place import ShardPlace, find_place, read_place, stored_in


@pytest.fixture
def shard(tmp_path):
    """A manifest of one image with a mask, in a shard; and the files."""
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8)).save(tmp_path / "ü 1.jpg")
    Image.fromarray(random.integers(0, 2, (9, 12), np.uint8)).save(tmp_path / "mask.png")
    (tmp_path / "manifest.csv").write_text("image,label,mask\nü 1.jpg,a,mask.png\n", encoding="utf-8")
    written = write_shards(read_manifest(tmp_path / "manifest.csv"), tmp_path / "shards")
    return written.manifest, tmp_path / "ü 1.jpg", tmp_path / "mask.png"


def test_readers_of_files_read_places(shard):
    manifest, image, mask = shard
    (image_place,), (mask_place,) = manifest.image_paths, manifest.mask_paths
    assert Path(image_place).name == image.name and Path(mask_place).name == mask.name
    with open_file(image_place) as file:
        assert file.read() == image.read_bytes()
    assert read_image_header(image_place) == read_image_header(image)
    np.testing.assert_array_equal(read_image(image_place), read_image(image))
    np.testing.assert_array_equal(read_mask(mask_place), read_mask(mask))


@pytest.mark.parametrize(
    "path",
    [
        *("0.tfrecord/-1/image/a.jpg", "0.tfrecord/01/image/a.jpg", "0.tfrecord/1/boxes/a.jpg", "0.tfrecord/1/image/"),
        *("0.tfrecord/1/image/b/a.jpg", "0.tfrecords/1/image/a.jpg", "1.tfrecord/1/image/a.jpg", "0.tfrecord", "a", ""),
    ],
)
def test_other_paths_are_those_of_files(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    Path("0.tfrecord").touch()
    assert find_place(path) is None and stored_in(path) == path


def test_a_file_below_a_folder_with_a_shards_name_is_not_taken_for_a_record(tmp_path):
    folder = tmp_path / "0.tfrecord" / "0" / "image"
    folder.mkdir(parents=True)
    Image.fromarray(np.full((4, 4, 3), 7, np.uint8)).save(folder / "a.png")
    (tmp_path / "manifest.csv").write_text("image,label\n0.tfrecord/0/image/a.png,a\n")
    manifest = read_manifest(tmp_path / "manifest.csv")
    assert read_image(manifest.image_paths[0]).max() == 7
    ((images, _),) = evaluation_dataset(manifest, (4, 4), 1)
    assert np.all(images == 7)


def test_a_flipped_bit_anywhere_never_gives_other_bytes(shard):
    """Either the bytes as they were, or an error that names shard and image."""
    place = find_place(shard[0].image_paths[0])
    expected, whole = shard[1].read_bytes(), Path(place.shard).read_bytes()
    random, num_refused = np.random.default_rng(0), 0
    for at in range(place.offset, len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << random.integers(8)
        Path(place.shard).write_bytes(damaged)
        try:
            assert read_place(place) == expected
        except InputError as error:
            assert str(error).startswith(f"{place}: the record in the shard is damaged or of another shard")
            num_refused += 1
    assert num_refused > len(expected)


def test_a_shard_that_was_cut_off_and_a_place_without_a_record(shard):
    place = find_place(shard[0].image_paths[0])
    size = os.path.getsize(place.shard)
    for wrong in (place._replace(offset=3), place._replace(offset=size), place._replace(offset=10**17)):
        with pytest.raises(InputError, match="there is no such record|ends before|another image"):
            read_place(wrong)
    os.truncate(place.shard, size - 1)
    with pytest.raises(InputError, match="it ends before the record does"):
        read_image(str(place))


def _field(number, contents):
    """A field of a protocol buffer: a text or a message."""
    length, digits = len(contents), []
    while length >= 128:
        digits.append(length & 127 | 128)
        length >>= 7
    return bytes([number << 3 | 2, *digits, length]) + contents


def _feature(name, contents):
    return _field(1, _field(1, name) + _field(2, _field(1, _field(1, contents))))


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        (_field(2, b"") * 2_000_000, "there is no such record"),
        (_field(1, _field(1, b"") + _field(2, b"")) * 700_000, "it has more than 512 fields"),
        (
            _field(1, _field(1, b"") + _field(2, _field(1, _field(2, b"") * 400 + _field(1, b"")) * 400)),
            "it has more than 512 fields",
        ),
        (_feature(b"x" * 4_000_000, b""), "a name in it is too long"),
        (_feature(b"image_name", b"x" * 4_000_000), "a name in it is too long"),
        (_feature(b"image_name", b"a.jpg"), "there is no such record"),
    ],
    ids=["empty fields", "empty features", "lists of lists", "long name", "long file name", "no image"],
)
def test_a_record_is_refused_soon_however_many_fields_it_has(tmp_path, monkeypatch, features, reason):
    record = _field(1, features)
    path = tmp_path / "0.tfrecord"
    path.write_bytes(struct.pack("<Q", len(record)) + bytes(4) + record + bytes(4))
    real, read = os.pread, []
    monkeypatch.setattr(os, "pread", lambda *given: read.append(real(*given)) or read[-1])
    with pytest.raises(InputError, match=reason):
        read_place(ShardPlace(str(path), 0, "image", "a.jpg"))
    assert len(read) <= 8 and sum(map(len, read)) < 50_000


def test_what_lies_around_an_image_is_read_at_once(shard, monkeypatch):
    (path,) = shard[0].image_paths
    expected, real, sizes = shard[1].read_bytes(), os.pread, []
    monkeypatch.setattr(os, "pread", lambda *given: sizes.append(given[1]) or real(*given))
    assert read_place(find_place(path)) == expected
    assert len(sizes) <= 4 and sizes.count(len(expected)) == 1


def test_a_shard_that_is_gone_is_a_file_that_is_not_there(tmp_path):
    place = ShardPlace(str(tmp_path / "0.tfrecord"), 0, "image", "a.jpg")
    with pytest.raises(InputError, match="a.jpg does not exist"):
        read_image(str(place))
