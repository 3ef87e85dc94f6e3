"""Outputs appear whole or not at all: write to a temporary name beside the target, then rename."""

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from care_tf.errors import InputError
from care_tf.text_files import read_bytes


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path beside `target`; on success it replaces `target`, on an exception it is removed.

    Works for a file or a folder (whatever the block creates at the yielded path). The temporary name keeps the
    target's suffix, because Keras chooses a format by it. An existing folder is moved aside before the rename and
    put back if the rename fails, so what was there is never lost to a failure. A file never replaces a folder, nor a
    folder a file.

    Args:
      target: The path that must end up complete or untouched. Its parent folder is created.

    Yields:
      The path to write to.

    Raises:
      InputError: The folder cannot be made or written to, or a file was written where a folder is, or a folder where
        a file is.
    """
    target = Path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}. Choose another output.") from error
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InputError(f"{target} cannot be written: no permission in {target.parent}. Choose another output.")
    token = uuid.uuid4().hex[:8]
    temporary = target.with_name(f".{target.name}.{token}{''.join(target.suffixes)}")
    try:
        yield temporary
        if not temporary.exists():
            raise FileNotFoundError(f"nothing was written for {target}")
        if target.exists() and target.is_dir() != temporary.is_dir():
            new, old = ("file", "folder") if target.is_dir() else ("folder", "file")
            raise InputError(f"The output must be a {new}. Received the {old} {target}. Choose another output.")
        if target.is_dir():
            _replace_folder(temporary, target, token)
        else:
            os.replace(temporary, target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


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


def _replace_folder(new: Path, target: Path, token: str) -> None:
    previous = target.with_name(f".{target.name}.{token}.previous")
    os.replace(target, previous)
    try:
        os.replace(new, target)
    except OSError:
        os.replace(previous, target)
        raise
    shutil.rmtree(previous)
