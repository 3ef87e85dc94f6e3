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
_BLOCK_BYTES = 4096  # read at once of what lies around image and mask
_MOST_FIELDS = 512  # of a record's protocol buffer; ours have some 50
_LONGEST_TEXT = 1024  # of the names and checksums in a record


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


def stored_files(paths: Iterable[str]) -> list[str]:
    """The files on the disk that hold what paths name, in order, each once: shards are few, whatever is in them."""
    paths = list(paths)
    places = find_places(paths)
    return list(dict.fromkeys(p if place is None else place.shard for p, place in zip(paths, places, strict=True)))


def read_place(place: ShardPlace) -> bytes:
    """The bytes of an image or a mask, which are those of the file it was made from: their sha256 is in the record.

    Raises:
      InputError: They are not, or the record is another.
      OSError: The shard cannot be read.
    """
    with _open_record(place) as (file, record), _named_errors(place):
        start, end = record.parts[place.kind]
        contents = os.pread(file, end - start, start)
        if hashlib.sha256(contents).hexdigest().encode() != record.text(f"{place.kind}_sha256"):
            raise _DamagedError("its bytes have changed")
    return contents


@contextlib.contextmanager
def open_place(place: ShardPlace) -> Iterator[tuple[int, int, int]]:
    """The shard's descriptor, where in it the bytes start, and their number; the bytes are not checked.

    Raises:
      InputError: The record is another, or none.
      OSError: The shard cannot be read.
    """
    with _open_record(place) as (file, record):
        with _named_errors(place):
            start, end = record.parts[place.kind]
        yield file, start, end - start


@contextlib.contextmanager
def _open_record(place: ShardPlace) -> Iterator[tuple[int, "_Record"]]:
    file = os.open(place.shard, os.O_RDONLY)
    try:
        with _named_errors(place):
            record = _Record(file, place.offset)
            if record.text(f"{place.kind}_name") != os.fsencode(place.name):
                raise _DamagedError("it is the record of another image")
        yield file, record
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


class _Record:
    """Where in a file the texts of a record's features are, found by the lengths in its protocol buffer.

    Whatever the record says, it is a bounded number of steps: at most `_MOST_FIELDS` fields are looked at.

    Attributes:
      parts: Name of a feature -> where its first text is; features of numbers have none.
    """

    def __init__(self, file: int, offset: int):
        self._file, self._fields_left = file, _MOST_FIELDS
        self._block, self._block_start = b"", 0
        length = int.from_bytes(self._read(offset, _LENGTH_BYTES), "little")
        whole = _Part(offset + _HEAD_BYTES, offset + _HEAD_BYTES + length)
        if whole.end + _TAIL_BYTES > os.fstat(file).st_size:
            raise _DamagedError("it ends before the record does")
        self.parts: dict[str, _Part] = {}
        # Example.features, Features.feature, a map of name (1) -> Feature (2), Feature.bytes_list, BytesList.value
        for _, entry in self._fields(self._field(whole, 1)):
            name, feature = self._text(self._field(entry, 1)).decode(), self._field(entry, 2)
            for kind, texts in self._fields(feature):
                if kind == 1:
                    self.parts[name] = self._field(texts, 1)

    def text(self, name: str) -> bytes:
        """The first text of a feature, which is not the image or the mask."""
        return self._text(self.parts[name])

    def _text(self, part: _Part) -> bytes:
        if part.end - part.start > _LONGEST_TEXT:
            raise _DamagedError("a name in it is too long")
        return self._read(part.start, part.end - part.start)

    def _field(self, message: _Part, number: int) -> _Part:
        return next(part for each, part in self._fields(message) if each == number)

    def _fields(self, message: _Part) -> Iterator[tuple[int, _Part]]:
        """(number, part) of the fields of a protocol buffer whose fields are all texts or messages."""
        start = message.start
        while start < message.end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise _DamagedError(f"it has more than {_MOST_FIELDS} fields")
            tag, *digits = self._read(start, _BYTES_OF_A_FIELD)
            num_digits = next((place for place, digit in enumerate(digits, start=1) if digit < 128), len(digits))
            start += 1 + num_digits
            length = sum((digit & 127) << 7 * place for place, digit in enumerate(digits[:num_digits]))
            part = _Part(start, start + length)
            if tag & 7 != 2 or part.end > message.end:
                raise _DamagedError("there is no such record")
            yield tag >> 3, part
            start = part.end

    def _read(self, start: int, num_bytes: int) -> bytes:
        """Bytes of the file; those that follow are kept, since most often they come next."""
        at = start - self._block_start
        if not 0 <= at <= len(self._block) - num_bytes:
            self._block, self._block_start, at = os.pread(self._file, _BLOCK_BYTES, start), start, 0
        return self._block[at : at + num_bytes]
