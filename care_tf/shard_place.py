"""An image or a mask inside a shard: named like a file below it, found and read without TensorFlow.

A shard is a TFRecord file of `tf.train.Example`s, one for each image. `a/0.tfrecord/4096/image/b.jpg` is the image
b.jpg of the record that starts at byte 4096 of `a/0.tfrecord`. No file can have such a path, since there is none below
a file; where `a/0.tfrecord` is a folder, the path means a file in it as ever.
"""

import contextlib
import functools
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from care_tf.errors import InputError

SUFFIX = ".tfrecord"
_PLACE = re.compile(
    rf"(?P<shard>.+{re.escape(SUFFIX)})/(?P<offset>0|[1-9][0-9]{{0,17}})/(?P<kind>image|mask)/(?P<name>[^/]+)",
    re.DOTALL,
)
_LENGTH_BYTES, _HEAD_BYTES, _TAIL_BYTES = 8, 12, 4  # of a TFRecord: length and its checksum, data, their checksum
_BYTES_OF_A_FIELD = 11  # tag and length of a protocol buffer's field


class ShardPlace(NamedTuple):
    """Which part of which record.

    Attributes:
      shard: The TFRecord file.
      offset: Where the record starts, bytes.
      kind: "image" or "mask".
      name: The file's own name, which the record has, too.

    Example:
      >>> str(ShardPlace("a/0.tfrecord", 4096, "image", "b.jpg"))
      'a/0.tfrecord/4096/image/b.jpg'
    """

    shard: str
    offset: int
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.shard}/{self.offset}/{self.kind}/{self.name}"


class _Part(NamedTuple):
    start: int
    end: int


class _DamagedError(ValueError):
    """What is wrong with a record."""


def find_places(paths: Iterable[str | os.PathLike]) -> list[ShardPlace | None]:
    """The places that paths name; None for the path of a file."""
    is_file = functools.cache(os.path.isfile)
    return [_place_in(os.fspath(path), is_file) for path in paths]


def find_place(path: str | os.PathLike) -> ShardPlace | None:
    """The place that a path names; None for the path of a file."""
    return find_places([path])[0]


def stored_in(path: str | os.PathLike) -> str | os.PathLike:
    """The file on the disk that holds what a path names: itself, or its shard."""
    place = find_place(path)
    return path if place is None else place.shard


def read_place(place: ShardPlace) -> bytes:
    """The bytes of an image or a mask, which are those of the file it was made from: their sha256 is in the record.

    Raises:
      InputError: They are not, or the record is another.
      OSError: The shard cannot be read.
    """
    with open_place(place) as (file, start, length), _named_errors(place):
        contents = os.pread(file, length, start)
        checksum = _parts(file, place)[f"{place.kind}_sha256"]
        if hashlib.sha256(contents).hexdigest().encode() != _bytes(file, checksum):
            raise _DamagedError("its bytes have changed")
    return contents


@contextlib.contextmanager
def open_place(place: ShardPlace) -> Iterator[tuple[int, int, int]]:
    """The shard's descriptor, where in it the bytes start, and their number; the bytes are not checked.

    Raises:
      InputError: The record is another, or none.
      OSError: The shard cannot be read.
    """
    file = os.open(place.shard, os.O_RDONLY)
    try:
        with _named_errors(place):
            parts = _parts(file, place)
            if _bytes(file, parts[f"{place.kind}_name"]) != os.fsencode(place.name):
                raise _DamagedError("it is the record of another image")
            start, end = parts[place.kind]
        yield file, start, end - start
    finally:
        os.close(file)


def _place_in(path: str, is_file: Callable[[str], bool]) -> ShardPlace | None:
    found = _PLACE.fullmatch(path) if f"{SUFFIX}/" in path else None
    if found is None or not is_file(found["shard"]):
        return None
    return ShardPlace(found["shard"], int(found["offset"]), found["kind"], found["name"])


@contextlib.contextmanager
def _named_errors(place: ShardPlace) -> Iterator[None]:
    try:
        yield
    except (ValueError, LookupError, StopIteration) as error:
        reason = str(error) if isinstance(error, _DamagedError) else "there is no such record"
        raise InputError(
            f"{place}: the record in the shard is damaged or of another shard: {reason}. Copy the shard again, or "
            "write it again with care prepare shards."
        ) from None


def _parts(file: int, place: ShardPlace) -> dict[str, _Part]:
    """Where the texts of the record's features are; of other features, nothing."""
    head = os.pread(file, _LENGTH_BYTES, place.offset)
    record = _Part(place.offset + _HEAD_BYTES, place.offset + _HEAD_BYTES + int.from_bytes(head, "little"))
    if record.end + _TAIL_BYTES > os.fstat(file).st_size:
        raise _DamagedError("it ends before the record does")
    parts: dict[str, _Part] = {}
    # Example.features, Features.feature, a map of name (1) -> Feature (2), Feature.bytes_list, BytesList.value
    for _, entry in _fields(file, _field(file, record, 1)):
        name, feature = _bytes(file, _field(file, entry, 1)), _field(file, entry, 2)
        parts |= {name.decode(): _field(file, texts, 1) for kind, texts in _fields(file, feature) if kind == 1}
    return parts


def _fields(file: int, message: _Part) -> Iterator[tuple[int, _Part]]:
    """(number, part) of the fields of a protocol buffer whose fields are all texts or messages."""
    start = message.start
    while start < message.end:
        tag, *digits = os.pread(file, _BYTES_OF_A_FIELD, start)
        num_digits = next((place for place, digit in enumerate(digits, start=1) if digit < 128), len(digits))
        start += 1 + num_digits
        part = _Part(start, start + sum((digit & 127) << 7 * place for place, digit in enumerate(digits[:num_digits])))
        if tag & 7 != 2 or part.end > message.end:
            raise _DamagedError("there is no such record")
        yield tag >> 3, part
        start = part.end


def _field(file: int, message: _Part, number: int) -> _Part:
    return next(part for each, part in _fields(file, message) if each == number)


def _bytes(file: int, part: _Part) -> bytes:
    return os.pread(file, part.end - part.start, part.start)
