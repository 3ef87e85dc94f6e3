"""Outputs appear whole or not at all: write to a temporary name beside the target, then rename."""

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from care_tf.errors import InputError
from care_tf.text_files import read_bytes

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
_LONGEST_NAME = 255  # bytes, on nearly every file system
_TEMPORARY = re.compile(r"\.(?P<target>.+)\.[0-9a-f]{8}(\..+)?")
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of renameat2(2)


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike, durable: bool = False) -> Iterator[Path]:
    """Yields a temporary path beside `target`; on success it replaces `target`, on an exception it is removed.

    Works for a file or a folder (whatever the block creates at the yielded path). The temporary name keeps the
    target's suffix, because Keras chooses a format by it. A folder changes places with the new one in one step where
    the file system can do that; elsewhere it is moved aside first, and put back if the rename fails. A file never
    replaces a folder, nor a folder a file.

    Args:
      target: The path that must end up complete or untouched. Its parent folder is created.
      durable: Waits until the disk has it: it is still there after a loss of power, which costs some milliseconds.

    Yields:
      The path to write to.

    Raises:
      InputError: The folder cannot be made or written to, the disk is full, or a file was written where a folder is,
        or a folder where a file is.
    """
    target = Path(target)
    if not target.name or "\0" in str(target):
        raise InputError(f"{str(target)!r:.200} cannot be written: no file can be called so. Choose another output.")
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}{''.join(target.suffixes)}")
    if len(os.fsencode(temporary.name)) > _LONGEST_NAME:
        raise InputError(f"{target!s:.200} cannot be written: the name is too long. Choose another output.")
    new_folders = [folder for folder in target.parents if not folder.exists()] if durable else []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{target!s:.200} cannot be written: {error.strerror}. Choose another output.") from error
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InputError(f"{target} cannot be written: no permission in {target.parent}. Choose another output.")
    try:
        yield temporary
        if not temporary.exists():
            raise FileNotFoundError(f"nothing was written for {target}")
        if target.exists() and target.is_dir() != temporary.is_dir():
            new, old = ("file", "folder") if target.is_dir() else ("folder", "file")
            raise InputError(f"The output must be a {new}. Received the {old} {target}. Choose another output.")
        if durable:
            _sync(temporary)
        if target.is_dir():
            _exchange_folders(temporary, target)
        else:
            os.replace(temporary, target)
        if durable:
            for folder in (target.parent, *(new.parent for new in new_folders)):
                _sync_entry(folder)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise InputError(
            f"{target!s:.200} cannot be written: {error.strerror}. What was there is kept; make room or choose another "
            "output, and start again."
        ) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str, durable: bool = False) -> None:
    """Writes a file in UTF-8; the rest as `atomic_path`."""
    with atomic_path(path, durable) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, document: Any, durable: bool = False, **style: Any) -> None:
    """Writes what `json.dumps(document, **style)` gives; the rest as `atomic_path`."""
    write_text(path, json.dumps(document, **style) + "\n", durable)


def remove_left_overs(folder: Path) -> None:
    """Removes what killed processes left of `atomic_path` in a folder where no other process writes now.

    A folder that such a process had moved aside, and for which no new one came, is put back.
    """
    for path in folder.glob(".*"):
        found = _TEMPORARY.fullmatch(path.name)
        if not found:
            continue
        target = folder / found["target"]
        if path.name.endswith(".previous") and not target.exists():
            os.replace(path, target)  # a kill between two renames: this is what was there
        elif path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def check_suffix(path: str | os.PathLike, suffix: str) -> None:
    """Raises an `InputError` unless a file of this name can end in `suffix`, such as ".onnx"."""
    if Path(path).suffix != suffix or Path(path).is_dir():
        raise InputError(f"The file to write must end in {suffix}. Received {path}.")


def file_sha256(path: str | os.PathLike) -> str:
    """sha256 (hex) of a file's content.

    Raises:
      InputError: The file cannot be read.
    """
    return hashlib.sha256(read_bytes(path)).hexdigest()


def path_sha256(path: str | os.PathLike) -> str:
    """sha256 (hex) of a file's content, or of the names and contents of a folder's files, in the order of their paths.

    Raises:
      InputError: A file cannot be read.
    """
    files = sorted(file for file in Path(path).rglob("*") if file.is_file())  # none: the path is a file itself
    return files_sha256(files) if files else file_sha256(path)


def files_sha256(paths: Iterable[Path]) -> str:
    """sha256 (hex) of the names and contents of several files, in the order given.

    Raises:
      InputError: A file cannot be read.
    """
    return hashlib.sha256("".join(f"{path.name} {file_sha256(path)}\n" for path in paths).encode()).hexdigest()


def file_state(path: str | os.PathLike) -> tuple[int, int]:
    """Size in bytes and time of the last change in ns; (-1, -1) where there is no file."""
    try:
        state = os.stat(path)
    except OSError:
        return -1, -1
    return state.st_size, state.st_mtime_ns


def _exchange_folders(new: Path, target: Path) -> None:
    """`target` becomes what `new` is; what it was is then at `new`, or gone."""
    with contextlib.suppress(OSError, AttributeError):  # not every file system can, nor every C library
        rename = ctypes.CDLL(None, use_errno=True).renameat2
        if rename(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(target), _RENAME_EXCHANGE) == 0:
            return
    previous = new.with_name(f"{new.name}.previous")
    os.replace(target, previous)
    try:
        os.replace(new, target)
    except BaseException:
        os.replace(previous, target)
        raise
    shutil.rmtree(previous)


def _sync(path: Path) -> None:
    """Waits until a file, or a folder with all in it, is on the disk."""
    if path.is_dir():
        for inner in path.iterdir():
            _sync(inner)
    _sync_entry(path)


def _sync_entry(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not path.is_dir() or error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems sync no folders
            raise
    finally:
        os.close(descriptor)
