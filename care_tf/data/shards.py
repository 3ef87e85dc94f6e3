"""A manifest's images and masks in a few large files, of which training reads any image at any time."""

import dataclasses
import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from care_tf.csv_files import write_table
from care_tf.data._manifest_rows import file_problems
from care_tf.data.manifest import Manifest, write_manifest
from care_tf.errors import InputError, clause
from care_tf.file_in_memory import FileInMemory
from care_tf.file_work import results_in_threads
from care_tf.files import atomic_path, file_state, remove_left_overs, write_text
from care_tf.images.pixels import read_image, read_mask
from care_tf.progress_journal import ProgressJournal
from care_tf.shard_place import SUFFIX, ShardPlace, stored_in
from care_tf.text_files import read_bytes

if TYPE_CHECKING:
    from tqdm import tqdm

MANIFEST, LEFT_OUT, CHECKSUMS = "manifest.csv", "left_out.csv", "SHA256SUMS"
SHARD_BYTES = 256 * 2**20
_NAME = re.compile(rf"[0-9a-f]{{8}}-\d{{5}}{re.escape(SUFFIX)}")
_RECORD_BYTES = 16  # of a TFRecord, beside its data
_BYTES_AT_ONCE = 2**24

_RowState: TypeAlias = list[tuple[int, int]]  # of the image's file, and of the mask's where there is one


@dataclasses.dataclass(frozen=True)
class WrittenShards:
    """What became of the images.

    Attributes:
      manifest: Those in the shards, in order.
      left_out: Path of an image that is in none -> the reason.
      num_shards: How many files there are.
      num_resumed: So many of them were taken over from a run that was cut short.
    """

    manifest: Manifest
    left_out: dict[str, str]
    num_shards: int
    num_resumed: int


@dataclasses.dataclass(frozen=True)
class _Shard:
    """A finished shard: rows `first` up to `first + len(offsets)`.

    Attributes:
      offsets: Where in the shard the record of each row starts; -1: it is left out.
      reasons: Why, of each row that is left out, in order.
      source: Changes with the size and modification time of the files it was made from, as they were before the read.
    """

    name: str
    first: int
    offsets: list[int]
    reasons: list[str]
    sha256: str
    source: str

    @property
    def end(self) -> int:
        return self.first + len(self.offsets)


class _Writing(NamedTuple):
    """What is written, and how."""

    manifest: Manifest
    folder: Path
    prefix: str
    shard_bytes: int
    num_threads: int


def write_shards(
    manifest: Manifest,
    folder: str | os.PathLike,
    *,
    shard_bytes: int = SHARD_BYTES,
    num_threads: int | None = None,
) -> WrittenShards:
    """Copies the images of a manifest, and their masks, into TFRecord files, and writes a manifest of them there.

    The files' bytes are copied as they are. Every image and mask is decoded once: one that is not as `read_manifest`
    wants it is left out, and listed in left_out.csv. Stopped and called again in the same way, it continues after the
    last whole shard; a shard that has changed since, or whose images have, is written again.

    A record is a `tf.train.Example` with `image`, `image_name`, `image_sha256`, `label` (the class name), `boxes` (x0,
    y0, x1, y1 of each, floats) and, where there is one, `mask`, `mask_name`, `mask_sha256`. Of these, care_tf takes
    image and mask; labels and boxes are the manifest's.

    Args:
      manifest: The images; they may be in other shards.
      folder: Where to write manifest.csv, left_out.csv, the shards and their SHA256SUMS. Older shards there are
        removed.
      shard_bytes: A shard ends with the image that makes it this large.
      num_threads: How many files to read at once; None takes one per core.

    Returns:
      The manifest that was written, and what is not in it.

    Raises:
      InputError: No image can be read, the folder cannot be written to or is the images' own, or another process works
        there.

    Warns:
      UserWarning: All images of a class are left out: who reads manifest.csv finds a class less.
    """
    folder = Path(folder).absolute()
    if shard_bytes < 1:
        raise InputError(f"A shard must have at least 1 byte. Received {shard_bytes}.")
    _check_folder(manifest, folder)
    fingerprint = {"manifest": manifest.fingerprint(), "shard_bytes": shard_bytes}
    # Another manifest's shards have other names: those of a manifest that is in place stay until the new one is.
    prefix = hashlib.sha256(json.dumps(fingerprint).encode()).hexdigest()[:8]
    with ProgressJournal(folder / MANIFEST, fingerprint) as journal, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that 16-bit images are dark is told when they are trained on
        remove_left_overs(folder)
        writing = _Writing(manifest, folder, prefix, shard_bytes, num_threads or os.cpu_count() or 1)
        shards, num_resumed = _all_shards(writing, journal)
        written = _written(manifest, folder, shards, num_resumed)
        journal.remove()
    _warn_of_lost_classes(manifest, written)
    return written


def _warn_of_lost_classes(manifest: Manifest, written: WrittenShards) -> None:
    before, after = manifest.class_counts, written.manifest.class_counts
    lost = [name for name, count in before.items() if count and not after[name]]
    if lost:
        warnings.warn(
            f"{written.manifest.source} must have images of every class. All of {', '.join(lost)} are left out: who "
            f"reads it finds {sum(map(bool, after.values()))} classes, of which those behind have other numbers. Mend "
            f"the images in {LEFT_OUT} and write the shards again, or name all classes (class_names) where it is read.",
            UserWarning,
            stacklevel=3,
        )


def _check_folder(manifest: Manifest, folder: Path) -> None:
    folders = {os.path.dirname(stored_in(path)) for path in (*manifest.image_paths, *manifest.mask_paths) if path}
    sources = {os.path.realpath(each) for each in (*folders, os.path.dirname(manifest.source))}
    if os.path.realpath(folder) in sources:
        raise InputError(
            f"The output must be another folder than those of the manifest and its images. Received {folder}. Choose "
            "another output."
        )


def _all_shards(writing: _Writing, journal: ProgressJournal) -> tuple[list[_Shard], int]:
    """The shards in order, those that were finished before as they are; and the number of these."""
    from tqdm import tqdm

    manifest = writing.manifest
    finished = {entry["first"]: _Shard(**entry) for entry in journal.entries}
    shards: list[_Shard] = []
    num_resumed = row = 0
    with tqdm(total=len(manifest), desc="sharding", unit="image") as progress:
        while row < len(manifest):
            path = writing.folder / f"{writing.prefix}-{len(shards):05d}{SUFFIX}"
            shard = finished.get(row)
            if shard is not None and shard.name == path.name and _is_as_written(shard, manifest, path):
                num_resumed += 1
                progress.update(len(shard.offsets))
            else:
                shard = _write_shard(writing, row, path, progress)
                journal.append(dataclasses.asdict(shard))
            shards.append(shard)
            row = shard.end
    return shards, num_resumed


def _write_shard(writing: _Writing, first: int, path: Path, progress: "tqdm") -> _Shard:
    """Rows from `first` on, as many as fill a shard."""
    import tensorflow as tf

    manifest, num_threads = writing.manifest, writing.num_threads
    offsets: list[int] = []
    reasons: list[str] = []
    states: list[_RowState] = []
    size = 0

    def read(row: int) -> tuple[_RowState, bytes | InputError]:
        return _row_state(manifest, row), _example(manifest, row)  # in this order: what changes meanwhile is seen later

    rows = range(first, len(manifest))
    examples = results_in_threads(read, rows, num_threads, 2 * num_threads)
    with (
        closing(examples),
        atomic_path(path, durable=True) as temporary,
        tf.io.TFRecordWriter(str(temporary)) as writer,
    ):
        for state, example in examples:
            progress.update()
            states.append(state)
            if isinstance(example, InputError):
                offsets.append(-1)
                reasons.append(str(example))
                continue
            writer.write(example)
            offsets.append(size)
            size += _RECORD_BYTES + len(example)
            if size >= writing.shard_bytes:
                break
    return _Shard(path.name, first, offsets, reasons, _sha256(path), _digest(states))


def _example(manifest: Manifest, row: int) -> bytes | InputError:
    """The record of an image, or why there is none."""
    import tensorflow as tf

    try:
        files = _checked_files(manifest, row)
    except InputError as error:
        return error
    texts = {"label": manifest.class_names[manifest.labels[row]].encode()}
    for kind, file in files.items():
        texts |= {kind: file.contents, f"{kind}_name": os.fsencode(os.path.basename(file.name))}
        texts[f"{kind}_sha256"] = hashlib.sha256(file.contents).hexdigest().encode()
    features = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text])) for name, text in texts.items()}
    boxes = tf.train.FloatList(value=manifest.boxes[row].ravel())
    features["boxes"] = tf.train.Feature(float_list=boxes)
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def _checked_files(manifest: Manifest, row: int) -> dict[str, FileInMemory]:
    """The image, and the mask where there is one; an `InputError` where training would stop at them."""
    paths = {"image": manifest.image_paths[row], "mask": manifest.mask_paths[row]}
    files = {kind: FileInMemory(path, read_bytes(path, kind)) for kind, path in paths.items() if path}
    problems = file_problems(files["image"], files.get("mask", ""), manifest.boxes[row])
    if problems:
        raise InputError(f"{'; '.join(problems)}.")
    read_image(files["image"])
    if "mask" in files:
        read_mask(files["mask"])
    return files


def _is_as_written(shard: _Shard, manifest: Manifest, path: Path) -> bool:
    states = [_row_state(manifest, row) for row in range(shard.first, shard.end)]
    return path.is_file() and _digest(states) == shard.source and _sha256(path) == shard.sha256


def _row_state(manifest: Manifest, row: int) -> _RowState:
    """What tells whether an image or its mask has changed."""
    return [file_state(path) for path in (manifest.image_paths[row], manifest.mask_paths[row]) if path]


def _digest(states: Sequence[_RowState]) -> str:
    return hashlib.sha256(repr(states).encode()).hexdigest()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BYTES_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()


def _written(manifest: Manifest, folder: Path, shards: Sequence[_Shard], num_resumed: int) -> WrittenShards:
    """Writes what goes with the shards, the manifest last; what was there before goes when the disk has it."""
    offsets = np.concatenate([shard.offsets for shard in shards])
    reasons = [reason for shard in shards for reason in shard.reasons]
    rows = np.flatnonzero(offsets < 0).tolist()
    left_out = {manifest.image_paths[row]: reason for row, reason in zip(rows, reasons, strict=True)}
    if len(left_out) == len(manifest):
        for shard in shards:
            (folder / shard.name).unlink()
        raise InputError(f"All {len(manifest)} images are left out; the first: {clause(reasons[0])}.")
    places = {kind: list(_places(manifest, kind, folder, shards)) for kind in ("image", "mask")}
    in_shards = dataclasses.replace(
        manifest,
        image_paths=tuple(places["image"]),
        mask_paths=tuple(places["mask"]),
        source=str(folder / MANIFEST),
    ).subset(offsets >= 0)
    write_table(folder / LEFT_OUT, [("image", "reason"), *left_out.items()], durable=True)
    write_text(folder / CHECKSUMS, "".join(f"{shard.sha256}  {shard.name}\n" for shard in shards), durable=True)
    write_manifest(in_shards, folder / MANIFEST, durable=True)
    names = {shard.name for shard in shards}
    for path in folder.iterdir():
        if _NAME.fullmatch(path.name) and path.name not in names:
            path.unlink()
    return WrittenShards(in_shards, left_out, len(shards), num_resumed)


def _places(manifest: Manifest, kind: str, folder: Path, shards: Sequence[_Shard]) -> Iterator[str]:
    """Where each row's image or mask is; its own path where it is left out, or "" where there is none."""
    paths: Any = manifest.image_paths if kind == "image" else manifest.mask_paths
    for shard in shards:
        for path, offset in zip(paths[shard.first : shard.end], shard.offsets, strict=True):
            is_in = path and offset >= 0
            yield str(ShardPlace(str(folder / shard.name), offset, kind, os.path.basename(path))) if is_in else path
