"""Where bytes come from: a file, a place in a shard, or memory, such as an upload; never a pipe or a device."""

import dataclasses
import io
import os
import stat
from typing import BinaryIO, TypeAlias

from care_tf.errors import InputError
from care_tf.shard_place import find_place, open_place, read_place

_AT_ONCE = getattr(os, "O_NONBLOCK", 0)  # a pipe is not waited for


@dataclasses.dataclass(frozen=True)
class FileInMemory:
    """A file's contents, and the name by which messages call it.

    Example:
      >>> with open_file(FileInMemory("a.png", b"pixels")) as file:
      ...     file.read()
      b'pixels'
    """

    name: str
    contents: bytes = dataclasses.field(repr=False)

    def __str__(self) -> str:
        return self.name


AnyFile: TypeAlias = str | os.PathLike | FileInMemory


def open_file(file: AnyFile) -> BinaryIO:
    """Opens a file, or a place in a shard, to read bytes, from the start.

    Raises:
      InputError: It is a pipe or a device, which would be waited for, or read, without end; or its record is damaged.
      OSError: As `open`; ValueError for a name that no file can have.
    """
    if isinstance(file, FileInMemory):
        return io.BytesIO(file.contents)
    place = find_place(file)
    if place is not None:
        return io.BytesIO(read_place(place))
    check_no_pipe(file)
    return open(file, "rb")


def check_no_pipe(path: str | os.PathLike) -> None:
    """Raises an `InputError` for a pipe or a device: it would be waited for, or read, without end.

    What a shell puts in place of `<(command)` is a pipe, too. Nothing is said of what is not there.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{path!s:.200} must be a file. Received a pipe or a device. Copy what it gives into a file.")


def read_ends(file: AnyFile, num_first: int, num_last: int) -> tuple[bytes, bytes]:
    """The first and the last bytes of a file: as many as asked for, or all; those in a shard are not checked.

    Raises:
      InputError, OSError: As `open_file`; of a pipe or a device, anything.
    """
    if isinstance(file, FileInMemory):
        return file.contents[:num_first], file.contents[max(0, len(file.contents) - num_last) :]
    place = find_place(file)
    if place is not None:
        with open_place(place) as (shard, start, length):
            num_last = min(num_last, length)
            return os.pread(shard, min(num_first, length), start), os.pread(shard, num_last, start + length - num_last)
    opened = os.open(file, os.O_RDONLY | _AT_ONCE)
    try:
        first = os.read(opened, num_first)
        return first, os.pread(opened, num_last, max(0, os.lseek(opened, 0, os.SEEK_END) - num_last))
    finally:
        os.close(opened)


def file_size(file: str | os.PathLike) -> int:
    """The number of bytes of a file or of a place in a shard.

    Raises:
      InputError, OSError: As `open_file`.
    """
    place = find_place(file)
    if place is None:
        return os.path.getsize(file)
    with open_place(place) as (_, _, length):
        return length
