"""How much a model file gives when it is read, looked up before: none may fill the memory, nor read another file."""

import copy
import math
import mmap
import os
import zipfile
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from care_tf.errors import InputError
from care_tf.hdf5_heaps import is_walked_to_its_end
from care_tf.interrupts import interrupt_held

if TYPE_CHECKING:
    import h5py

_MOST_BYTES, _MOST_TIMES = 2**28, 4  # Keras packs nothing; weights that somebody packs lose a tenth, or zeros
_BLOCK = 2**20
_BYTES_OF_LENGTHS = 8  # in HDF5, unless one asks for others


def check_archive(archive: zipfile.ZipFile, path: str | os.PathLike) -> None:
    """Refuses an archive whose members unpack to more than `most_bytes` of its size in all, by its directory.

    Args:
      archive: A `.keras` file, opened.
      path: The file.

    Raises:
      InputError: It does, or a member is packed by what unpacks without a bound.
    """
    most = most_bytes(os.path.getsize(path))
    total = sum(member.file_size for member in archive.infolist())
    if total > most:
        raise InputError(
            f"{path} must unpack to at most {most:,} bytes: {_MOST_TIMES} times its size, or 256 MiB. Received "
            f"{total:,} bytes. Save the network again: Keras packs nothing."
        )
    for member in archive.infolist():
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(
                f"{path} must hold stored or deflated members. Received {member.filename[:80]!r}, packed by method "
                f"{member.compress_type}. Save the network again."
            )


def most_bytes(size: int) -> int:
    """What a file of so many bytes may give when it is read: max(256 MiB, 4 * size)."""
    return max(_MOST_BYTES, _MOST_TIMES * size)


def unpack_member(archive: zipfile.ZipFile, name: str, path: str | os.PathLike, target: IO[bytes]) -> None:
    """Writes what a member of a checked archive unpacks to.

    Raises:
      InputError: It is more than the archive's directory says, by which `check_archive` went.
    """
    member = copy.copy(archive.getinfo(name))
    told = left = member.file_size
    member.file_size = told + 2**16  # where its reader would stop of itself, as if all were there
    with archive.open(member) as file:
        while block := file.read(min(_BLOCK, left + 1)):
            left -= len(block)
            if left < 0:
                raise InputError(
                    f"{path} must say how large its {name} is. Received more than {told:,} bytes. Save the network "
                    "again."
                )
            target.write(block)


def check_hdf5(opened: IO[bytes], path: str | os.PathLike) -> None:
    """Refuses HDF5 that gives more than `most_bytes` of its size, or another file's content, or is read without end.

    Args:
      opened: A file of weights or of a network, on the disk.
      path: How messages call it.

    Raises:
      InputError: The data sets are together too large, or one is in another file or holds texts of any length; or a
        heap of such texts is broken.
    """
    import h5py  # Comes with Keras

    opened.flush()
    with (
        interrupt_held(),
        h5py.File(opened, "r") as file,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        if file.id.get_create_plist().get_sizes()[1] != _BYTES_OF_LENGTHS or not is_walked_to_its_end(content):
            raise _refused(path, file, "a heap of texts that HDF5 would not read to its end")
        _check_objects(file, most_bytes(len(content)), path)


def _check_objects(file: "h5py.File", most: int, path: str | os.PathLike) -> None:
    import h5py

    total = 0
    for item in _objects(file, path):
        if isinstance(item, h5py.Dataset):
            created = item.id.get_create_plist()
            if created.get_external_count() or created.get_layout() == h5py.h5d.VIRTUAL:
                raise _refused(path, item, "a data set in another file")
            if item.dtype.hasobject:
                raise _refused(path, item, "texts of any length")
            total += math.prod(item.shape) * item.dtype.itemsize if item.shape is not None else 0
        if total > most:
            raise _refused(path, item, f"more than {most:,} bytes: {_MOST_TIMES} times the file's size, or 256 MiB")


def _objects(file: "h5py.File", path: str | os.PathLike) -> Iterator["h5py.Group | h5py.Dataset"]:
    """Everything within a file, each once; h5py's own `visititems` takes the square of the depth."""
    import h5py

    left, seen = [file], set()
    while left:
        item = left.pop()
        place = h5py.h5o.get_info(item.id).addr
        if place in seen:
            continue
        seen.add(place)
        yield item
        for name in item if isinstance(item, h5py.Group) else ():
            link = item.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise _refused(path, item, "a link to another file")
            if isinstance(link, h5py.HardLink):  # where a soft one leads is reached by a hard one, too
                left.append(item[name])


def _refused(path: str | os.PathLike, item: "h5py.Group | h5py.Dataset", found: str) -> InputError:
    return InputError(
        f"{path} must hold the numbers of a network, as Keras writes them. Received {found}: "
        f"{(item.name or '')[-80:]!r}. Save the network again."
    )
