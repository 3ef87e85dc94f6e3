"""One process at a time: a lock on a file, which the system takes back from a process that is gone."""

import contextlib
import errno
import fcntl
import os
import warnings
from pathlib import Path
from typing import IO

from care_tf.errors import InputError

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}  # Lustre without -o flock, some FUSE mounts


def open_locked(path: Path, work: str) -> IO[bytes]:
    """Opens a file for reading and appending, and locks it until it is closed.

    Args:
      path: The lock's file; it and its folder are created where they do not exist.
      work: What the lock protects, for the message.

    Returns:
      The open file. Delete it, if at all, before it is closed: another process then makes a new one.

    Raises:
      InputError: Another process holds the lock, or the file cannot be written or locked.

    Warns:
      UserWarning: The file system has no locks; the file is open all the same.
    """
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = open(path, "a+b")  # noqa: SIM115  the caller's
        except OSError as error:
            raise InputError(f"{path.parent} cannot be written to: {error.strerror}.") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise InputError(
                f"Another run is at work on {work}; wait for it, stop it, or choose another output."
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                file.close()
                raise InputError(
                    f"{path.parent} cannot be locked ({error.strerror}); choose an output on another file system."
                ) from error
            warnings.warn(
                f"The file system of {path.parent} has no locks ({error.strerror}). Let no other process work there.",
                UserWarning,
                stacklevel=2,
            )
        if _is_at(file, path):
            return file
        file.close()


def try_lock(path: Path) -> IO[bytes] | None:
    """As `open_locked`, in a folder that exists; None where it cannot be locked, or another holds it."""
    with contextlib.suppress(OSError):
        while True:
            file = open(path, "a+b")  # noqa: SIM115  the caller's
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(file, path):
                    return file
            except BaseException:
                file.close()
                raise
            file.close()
    return None


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether the file is still at its path: one that ended between our open and our lock has deleted what we hold."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    return False
