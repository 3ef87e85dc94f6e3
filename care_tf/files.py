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
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from care_tf.errors import InputError
from care_tf.file_lock import open_locked, try_lock
from care_tf.interrupts import interrupt_held
from care_tf.shard_place import stored_in
from care_tf.text_files import read_bytes

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
_LONGEST_NAME = 255  # bytes, on nearly every file system
_LOCK, _WRITTEN, _PREVIOUS = ".writing", ".written", ".previous"
_UNLOCKED = re.compile(r"\.(?P<target>.+)\.[0-9a-f]{8}(\..+)?")
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of renameat2(2)


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike, durable: bool = False) -> Iterator[Path]:
    """Yields a temporary path beside `target`; on success it replaces `target`, on an exception it is removed.

    Works for a file or a folder (whatever the block creates at the yielded path). The temporary name keeps the
    target's suffix, because Keras chooses a format by it. A folder changes places with the new one in one step where
    the file system can do that; elsewhere it is moved aside first, and put back if the rename fails. A file never
    replaces a folder, nor a folder a file. A process that is killed leaves the temporary path with a lock beside it,
    `.NAME.writing`, which died with it: the next call for the same target removes both.

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
    new_folders = [folder for folder in target.parents if not folder.exists()] if durable else None
    with _written(target) as temporary:
        yield temporary
        _put_in_place(temporary, target, new_folders)


@contextlib.contextmanager
def files_together(folder: str | os.PathLike, mark: str) -> Iterator[Path]:
    """Yields a temporary folder; on success its files replace those of their names in `folder`.

    An exception in the block leaves the old ones. Only when all new ones are written do the old ones go, the one called
    `mark` first, and do the new ones come, `mark` last. So old and new ones are never side by side, and where `mark`
    is, all are there. Ctrl-C waits for that moment's end; a kill in it, or a disk that fails, leaves a part of the old
    or of the new ones without `mark`. At the end the disk has them.

    Args:
      folder: Where the files belong. It is created; what else is in it stays.
      mark: The name of one of them.

    Yields:
      The folder to write into.

    Raises:
      InputError: As `atomic_path`.
    """
    folder = Path(folder)
    with _written(folder / mark) as temporary:
        temporary.mkdir()
        yield temporary
        new = sorted(temporary.iterdir(), key=lambda path: path.name == mark)
        if not new or new[-1].name != mark:
            raise FileNotFoundError(f"nothing was written for {folder / mark}")
        for path in new:
            _check_kind(path, folder / path.name)
        _sync(temporary)
        with interrupt_held():
            for path in reversed(new):
                (folder / path.name).unlink(missing_ok=True)
            for path in new:
                os.replace(path, folder / path.name)
        _sync_entry(folder)


@contextlib.contextmanager
def _written(target: Path) -> Iterator[Path]:
    """A temporary path beside `target`, which is removed at the end; errors as of `atomic_path`."""
    if not target.name or "\0" in str(target):
        raise InputError(f"{str(target)!r:.200} cannot be written: no file can be called so. Choose another output.")
    if len(os.fsencode(_temporary(target, f".{uuid.uuid4().hex[:8]}").name + _PREVIOUS)) > _LONGEST_NAME:
        raise InputError(f"{target!s:.200} cannot be written: the name is too long. Choose another output.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{target!s:.200} cannot be written: {error.strerror}. Choose another output.") from error
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InputError(f"{target} cannot be written: no permission in {target.parent}. Choose another output.")
    with _claimed(target) as temporary:
        try:
            yield temporary
        except InputError:
            raise
        except Exception as error:
            reason = _why_no_room(error)
            if reason is None:
                raise
            raise InputError(
                f"{target!s:.200} cannot be written: {reason}. What was there is kept; make room or choose another "
                "output, and start again."
            ) from error
        finally:
            _remove(temporary)


def write_text(path: str | os.PathLike, text: str, durable: bool = False) -> None:
    """Writes a file in UTF-8; the rest as `atomic_path`."""
    with atomic_path(path, durable) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, document: Any, durable: bool = False, **style: Any) -> None:
    """Writes what `json.dumps(document, **style)` gives; the rest as `atomic_path`."""
    write_text(path, json.dumps(document, **style) + "\n", durable)


def remove_left_overs(folder: Path, is_sole: bool = False) -> None:
    """Removes what killed processes left of `atomic_path` in a folder, and nothing that a living one writes.

    A folder that such a process had moved aside, and for which no new one came, is put back.

    Args:
      folder: May not exist.
      is_sole: No other process writes there now: what was written where files cannot be locked is removed, too.
    """
    for lock in folder.glob(f".*{_LOCK}"):
        with _claimed(folder / lock.name[1 : -len(_LOCK)]):
            pass
    for path in folder.glob(".*") if is_sole else ():
        found = _UNLOCKED.fullmatch(path.name)
        if found:
            _put_back(path, folder / found["target"])


@contextlib.contextmanager
def sole_work(folder: Path) -> Iterator[None]:
    """Keeps other processes from working in a folder, under a lock in it, and removes what a killed one left there.

    Raises:
      InputError: Another process is at work there, or the folder cannot be written to.
    """
    lock = folder / ".lock"
    with open_locked(lock, str(folder)):
        remove_left_overs(folder)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


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
    """Size in bytes and time of the last change in ns, of what is in a shard the shard's; (-1, -1) where nothing is."""
    try:
        state = os.stat(stored_in(path))
    except OSError:
        return -1, -1
    return state.st_size, state.st_mtime_ns


@contextlib.contextmanager
def _claimed(target: Path) -> Iterator[Path]:
    """A temporary path for `target` that no other process has, and at which nothing is.

    The same one every time, under a lock, so that what a killed process left is found; where that cannot be had, a new
    one.
    """
    path = target.with_name(f".{target.name}{_LOCK}")
    lock = try_lock(path)
    if lock is None:
        yield _temporary(target, f".{uuid.uuid4().hex[:8]}")
        return
    with lock:
        try:
            temporary = _temporary(target, _WRITTEN)
            for left in (temporary, temporary.with_name(temporary.name + _PREVIOUS)):
                _put_back(left, target)
            yield temporary
        finally:
            path.unlink(missing_ok=True)


def _temporary(target: Path, mark: str) -> Path:
    return target.with_name(f".{target.name}{mark}{''.join(target.suffixes)}")


def _put_back(left: Path, target: Path) -> None:
    """Removes what a killed process left, unless it is what was at `target` and nothing is there now."""
    if left.name.endswith(_PREVIOUS) and left.exists() and not target.exists():
        os.replace(left, target)  # a kill between two renames
    else:
        _remove(left)


def _put_in_place(temporary: Path, target: Path, new_folders: Sequence[Path] | None) -> None:
    """`target` becomes what is at `temporary`; durable where the new folders above it are given."""
    if not temporary.exists():
        raise FileNotFoundError(f"nothing was written for {target}")
    _check_kind(temporary, target)
    if new_folders is not None:
        _sync(temporary)
    if target.is_dir():
        _exchange_folders(temporary, target)
    else:
        os.replace(temporary, target)
    if new_folders is not None:
        for folder in (target.parent, *(new.parent for new in new_folders)):
            _sync_entry(folder)


def _check_kind(new: Path, target: Path) -> None:
    if target.exists() and target.is_dir() != new.is_dir():
        wanted, found = ("file", "folder") if target.is_dir() else ("folder", "file")
        raise InputError(f"The output must be a {wanted}. Received the {found} {target}. Choose another output.")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _exchange_folders(new: Path, target: Path) -> None:
    """`target` becomes what `new` is; what it was is then at `new`, or gone."""
    with contextlib.suppress(OSError, AttributeError):  # not every file system can, nor every C library
        rename = ctypes.CDLL(None, use_errno=True).renameat2
        if rename(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(target), _RENAME_EXCHANGE) == 0:
            return
    previous = new.with_name(new.name + _PREVIOUS)
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


def _why_no_room(error: Exception) -> str | None:
    """What the system said where it had no room; TensorFlow and HDF5 put it into errors of their own."""
    codes = [code for code in _NO_ROOM if getattr(error, "errno", None) == code or os.strerror(code) in str(error)]
    return os.strerror(codes[0]) if codes else None
