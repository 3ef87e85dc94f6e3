"""A file that never was on a disk, such as an upload: what reads images takes it in place of a path."""

import dataclasses
import io
import os
import stat
from typing import BinaryIO, TypeAlias

from care_tf.errors import InputError


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
    """Opens a file to read bytes, from the start.

    Raises:
      InputError: It is a pipe or a device, which would be waited for, or read, without end.
      OSError: As `open`; ValueError for a name that no file can have.
    """
    if isinstance(file, FileInMemory):
        return io.BytesIO(file.contents)
    mode = os.stat(file).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{file} must be a file. Received a pipe or a device. Copy what it gives into a file.")
    return open(file, "rb")
