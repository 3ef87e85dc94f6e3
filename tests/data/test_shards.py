"""Training from shards is training from files: the same bits, in the same order, on both generations of TensorFlow."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from care_tf.data import Augmentation, evaluation_dataset, read_manifest, training_dataset
from care_tf.data import shards as shards_module
from care_tf.data.image_identity import image_identities, overlap
from care_tf.data.image_source import images_key
from care_tf.data.shards import write_shards
from care_tf.errors import InputError
from care_tf.file_in_memory import file_size
from care_tf.images.decoding import corrupt_files_refused
from care_tf.shard_place import find_place
from care_tf.text_files import read_bytes

one_generation = pytest.mark.one_generation


@pytest.fixture
def files(image_folder, write_rows):
    """The images of `image_folder`, two with a mask file in place of boxes, and an age."""
    random = np.random.default_rng(1)
    manifest = read_manifest(image_folder / "manifest.csv")
    columns = ("image", "label", "boxes", "mask", "group", "split", "fold", "box_source", "age")
    rows = []
    for i, path in enumerate(manifest.image_paths):
        mask = f"masks/image_{i}.png" if i in (2, 5) else ""
        if mask:
            (image_folder / "masks").mkdir(exist_ok=True)
            Image.fromarray(random.integers(0, 2, (10, 20), np.uint8) * 255).save(image_folder / mask)
        boxes = json.dumps(manifest.boxes[i].tolist()) if len(manifest.boxes[i]) else ""
        label = manifest.class_names[manifest.labels[i]]
        row = (Path(path).name, label, boxes, mask, manifest.groups[i], manifest.splits[i], manifest.folds[i], "", i)
        rows.append(dict(zip(columns, row, strict=True)))
    write_rows(image_folder / "manifest.csv", rows, columns)
    return read_manifest(image_folder / "manifest.csv", inputs=["age"])


@pytest.fixture
def written(files, tmp_path):
    return write_shards(files, tmp_path / "shards", shard_bytes=2000, num_threads=2)


def batches(manifest, **options):
    """Two epochs of batches, as bytes."""
    dataset = training_dataset(manifest, (12, 18), 4, seed=3, first_epoch=0, **options).take(6)
    return [part.tobytes() for x, y in dataset.as_numpy_iterator() for part in (x["image"], x["mask"], y)]


def raw(manifest):
    """The bytes of all images and masks."""
    return [read_bytes(path) for path in manifest.image_paths + manifest.mask_paths if path]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def damage(place, at):
    """Flips a bit of a place's shard, `at` bytes after the record's start."""
    found = find_place(place)
    data = bytearray(Path(found.shard).read_bytes())
    data[found.offset + at] ^= 1
    Path(found.shard).write_bytes(data)


def test_two_epochs_from_shards_are_those_from_files_bit_for_bit(files, written):
    assert written.num_shards > 2 and not written.left_out
    expected = batches(files, augmentation=Augmentation())
    assert batches(written.manifest, augmentation=Augmentation()) == expected


@one_generation
def test_evaluation_cache_and_a_manifest_of_files_and_shards(files, written):
    expected = batches(files)
    half = files.image_paths[:6] + written.manifest.image_paths[6:]
    half_masks = written.manifest.mask_paths[:4] + files.mask_paths[4:]
    columns = {"boxes": files.boxes, "source": files.source}
    mixed = type(files)(half, files.labels, files.class_names, mask_paths=half_masks, **columns)
    assert batches(mixed) == expected
    assert batches(written.manifest, cache="memory") == expected
    (one,), (other,) = (list(evaluation_dataset(each, (12, 18), 11)) for each in (files, written.manifest))
    np.testing.assert_array_equal(one[0], other[0])


@one_generation
def test_the_written_manifest_keeps_all_columns(files, written):
    again = read_manifest(written.manifest.source, inputs=["age"])
    assert again.fingerprint() == written.manifest.fingerprint()
    for name in ("labels", "groups", "splits", "folds", "box_sources", "inputs"):
        np.testing.assert_array_equal(getattr(again, name), getattr(files, name))
    np.testing.assert_array_equal(again.flat_boxes.flat, files.flat_boxes.flat)
    assert [Path(path).name for path in again.image_paths] == [Path(path).name for path in files.image_paths]


@one_generation
def test_another_reader_of_tfrecords_finds_whole_records(files, written):
    """The oracle: TensorFlow's own reader, from the beginning to the end of each shard."""
    folder = Path(written.manifest.source).parent
    found = []
    for path in sorted(folder.glob("*.tfrecord")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            example = tf.train.Example.FromString(record)
            texts = {name: each.bytes_list.value for name, each in example.features.feature.items()}
            found.append((texts, list(example.features.feature["boxes"].float_list.value)))
    assert len(found) == len(files)
    for row, (texts, boxes) in enumerate(found):
        own = {"image": files.image_paths[row], "mask": files.mask_paths[row]}
        for kind, path in own.items():
            assert (kind in texts) == bool(path)
            if path:
                content = Path(path).read_bytes()
                assert texts[kind] == [content] and texts[f"{kind}_name"] == [Path(path).name.encode()]
                assert texts[f"{kind}_sha256"] == [hashlib.sha256(content).hexdigest().encode()]
        assert texts["label"] == [files.class_names[files.labels[row]].encode()]
        assert boxes == files.boxes[row].ravel().tolist()
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.tfrecord"))}
    assert (folder / "SHA256SUMS").read_text() == "".join(f"{digest}  {name}\n" for name, digest in sums.items())


@one_generation
def test_an_image_is_known_by_the_same_identity(files, written):
    for one, other in zip(files.image_paths, written.manifest.image_paths, strict=True):
        assert image_identities(one, "p") == image_identities(other, "p")
        assert file_size(other) == Path(one).stat().st_size
    assert overlap(files, written.manifest).images.all()
    assert images_key(files, (8, 8)) != images_key(written.manifest, (8, 8))


@one_generation
def test_shards_are_made_from_shards(files, written, tmp_path):
    again = write_shards(written.manifest, tmp_path / "again")
    assert again.num_shards == 1 and raw(again.manifest) == raw(files)


def test_a_damaged_record_is_an_error_that_names_shard_and_image(written):
    place = written.manifest.image_paths[4]
    damage(place, 900)
    with pytest.raises(InputError, match="is damaged or of another shard") as error, corrupt_files_refused():
        list(evaluation_dataset(written.manifest, (12, 18), 4))
    assert str(error.value).startswith(place)


@one_generation
@pytest.mark.parametrize("at", [3, 9, 14, 40, -3])
def test_a_damaged_byte_anywhere_is_an_error_in_the_graph(written, at):
    places = [find_place(path) for path in written.manifest.image_paths[:2]]
    damage(written.manifest.image_paths[0], at if at >= 0 else places[1].offset + at)
    dataset = evaluation_dataset(written.manifest.subset([0]), (12, 18), 4)
    with pytest.raises(InputError, match=r"image_0.jpg: this image is in a record"), corrupt_files_refused():
        list(dataset)


@one_generation
def test_the_record_of_another_image_is_refused(written):
    first, second = (find_place(path) for path in written.manifest.image_paths[:2])
    swapped = str(first._replace(name=second.name))
    manifest = type(written.manifest)((swapped,), [0], ("a",))
    with pytest.raises(InputError, match="this image is in a record"), corrupt_files_refused():
        list(evaluation_dataset(manifest, (12, 18), 4))
    with pytest.raises(InputError, match="record of another image"):
        image_identities(swapped)


@one_generation
def test_a_mask_is_no_image(written):
    mask = next(path for path in written.manifest.mask_paths if path)
    manifest = type(written.manifest)((mask,), [0], ("a",))
    with pytest.raises(InputError, match="The image of a row must be a file or a shard's image"):
        evaluation_dataset(manifest, (12, 18), 4)


@one_generation
@pytest.mark.parametrize("stop_at", [0, 3, 10])
def test_an_interrupted_start_continues_and_ends_with_the_same_bytes(files, tmp_path, monkeypatch, stop_at):
    write_shards(files, tmp_path / "whole", shard_bytes=2000)
    folder, read, seen = tmp_path / "shards", shards_module.read_image, []

    def interrupted(file):
        seen.append(file)
        if len(seen) > stop_at:
            raise KeyboardInterrupt
        return read(file)

    with monkeypatch.context() as patch:
        patch.setattr(shards_module, "read_image", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_shards(files, folder, shard_bytes=2000, num_threads=1)
    left = {name for name in contents(folder) if not name.startswith(".")}
    assert "manifest.csv" not in left and all(
        contents(folder)[name] == contents(tmp_path / "whole")[name] for name in left
    )
    resumed = write_shards(files, folder, shard_bytes=2000)
    assert resumed.num_resumed == len(left)
    assert contents(folder) == contents(tmp_path / "whole")


@one_generation
@pytest.mark.parametrize("change", ["shard", "image", "missing"])
def test_what_changed_meanwhile_is_written_again_and_nothing_else(files, tmp_path, monkeypatch, change):
    folder = tmp_path / "shards"
    with monkeypatch.context() as patch:
        patch.setattr(shards_module, "write_table", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_shards(files, folder, shard_bytes=2000)
    first = sorted(folder.glob("*.tfrecord"))[0]
    if change == "shard":
        first.write_bytes(first.read_bytes()[:-1])
    elif change == "missing":
        first.unlink()
    else:
        Image.fromarray(np.zeros((10, 20, 3), np.uint8)).save(files.image_paths[0])
    written = write_shards(files, folder, shard_bytes=2000)
    # An image of another size may move the ends of all shards.
    assert written.num_resumed == written.num_shards - 1 or change == "image"
    assert raw(written.manifest) == raw(files)


@one_generation
@pytest.mark.parametrize("kind", ["image", "mask"])
def test_a_source_that_changes_while_its_shard_is_written_is_read_again(files, tmp_path, monkeypatch, kind):
    """It is replaced right after it was read, and the process is gone before the manifest is there."""
    folder, read = tmp_path / "shards", shards_module.read_bytes
    changed = files.image_paths[0] if kind == "image" else files.mask_paths[2]

    def replaced_after(path, kind):
        contents = read(path, kind)
        if path == changed:
            Image.fromarray(np.full((10, 20), 255, np.uint8)).save(path)
        return contents

    with monkeypatch.context() as patch:
        patch.setattr(shards_module, "read_bytes", replaced_after)
        patch.setattr(shards_module, "write_table", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_shards(files, folder, shard_bytes=2000)
    written = write_shards(files, folder, shard_bytes=2000)
    assert raw(written.manifest) == raw(files)


@one_generation
def test_images_that_training_would_stop_at_are_left_out_with_their_reasons(files, tmp_path):
    paths = [Path(path) for path in files.image_paths]
    paths[0].write_bytes(paths[0].read_bytes()[:-400])  # a JPEG without its end
    paths[1].unlink()
    whole = bytearray(paths[3].read_bytes())
    whole[200] ^= 1
    paths[3].write_bytes(whole)  # a PNG whose header is good
    Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save(paths[4])  # its box is outside now
    Image.fromarray(np.zeros((30, 20), np.uint8)).save(files.mask_paths[5])
    Path(files.mask_paths[2]).write_bytes(b"")
    written = write_shards(files, tmp_path / "shards", shard_bytes=2000)
    reasons = {Path(path).name: reason for path, reason in written.left_out.items()}
    for row, reason in {
        0: "cannot be read",
        1: "There is no image",
        2: "mask",
        3: "decoded",
        4: "box",
        5: "aspect",
    }.items():
        assert reason in reasons[paths[row].name]
    assert all(reason.endswith(".") for reason in reasons.values()) and len(reasons) == 6
    table = (tmp_path / "shards" / "left_out.csv").read_text()
    assert all(path in table for path in written.left_out)
    assert raw(read_manifest(written.manifest.source, inputs=["age"])) == raw(files.subset(range(6, 11)))


@one_generation
def test_where_no_image_can_be_read_nothing_is_written(files, tmp_path):
    for path in files.image_paths:
        Path(path).unlink()
    with pytest.raises(InputError, match="All 11 images are left out; the first: There is no image"):
        write_shards(files, tmp_path / "shards")
    assert not [name for name in contents(tmp_path / "shards") if not name.startswith(".")]


@one_generation
def test_older_shards_stay_until_the_new_manifest_is_there(files, tmp_path, monkeypatch):
    folder = tmp_path / "shards"
    old = write_shards(files, folder, shard_bytes=2000).manifest
    (folder / "notes.txt").touch()
    with monkeypatch.context() as patch:
        patch.setattr(shards_module, "write_manifest", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_shards(files, folder, shard_bytes=4000)
    assert raw(old) == raw(files)
    new = write_shards(files, folder, shard_bytes=4000)
    assert {path.name for path in folder.glob("*.tfrecord")} == {
        Path(find_place(path).shard).name for path in new.manifest.image_paths
    }
    assert (folder / "notes.txt").exists() and raw(new.manifest) == raw(files)


@one_generation
def test_all_is_on_the_disk_before_older_shards_and_the_journal_go(files, tmp_path, monkeypatch):
    """Each file is synced under its hidden name, and its name with the folder."""
    folder, events = tmp_path / "shards", []
    old = {Path(find_place(path).shard).name for path in write_shards(files, folder).manifest.image_paths}
    sync, unlink = os.fsync, Path.unlink

    def noted_sync(descriptor):
        events.append(("sync", os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(
        Path, "unlink", lambda path, **options: events.append(("remove", path.name)) or unlink(path, **options)
    )
    write_shards(files, folder, shard_bytes=2000)
    removals = [events.index(("remove", name)) for name in (*old, ".manifest.csv.progress.jsonl")]
    synced = [name for kind, name in events[: min(removals)] if kind == "sync"]
    written = [path.name for path in folder.iterdir()]
    assert len(written) > 5 and synced[-1] == "shards"
    assert sorted(name for name in synced if name != "shards") == sorted(
        f".{name}.written{Path(name).suffix}" for name in written
    )


@one_generation
def test_a_class_that_is_left_out_as_a_whole_is_told(files, tmp_path):
    for row in np.flatnonzero(files.labels == 1)[1:]:
        Path(files.image_paths[row]).unlink()
    write_shards(files, tmp_path / "one")  # one image is left of it
    Path(files.image_paths[np.flatnonzero(files.labels == 1)[0]]).unlink()
    with pytest.warns(UserWarning, match=r"two/manifest.csv must have images of every class. All of rare are left out"):
        written = write_shards(files, tmp_path / "two")
    assert written.manifest.class_counts == {"common": 8, "rare": 0}
    assert read_manifest(written.manifest.source, inputs=["age"]).class_names == ("common",)


@one_generation
def test_the_images_own_folder_is_refused(files, written):
    for manifest in (files, written.manifest):
        with pytest.raises(InputError, match="another folder than those of the manifest and its images"):
            write_shards(manifest, Path(manifest.source).parent)
    with pytest.raises(InputError, match="at least 1 byte"):
        write_shards(files, "x", shard_bytes=0)
