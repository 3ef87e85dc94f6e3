"""A file that never was on a disk, such as an upload: what reads images takes it in place of a path."""

import dataclasses
import io
import os
from typing import BinaryIO, TypeAlias


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
    """Opens a file to read bytes, from the start."""
    return io.BytesIO(file.contents) if isinstance(file, FileInMemory) else open(file, "rb")
