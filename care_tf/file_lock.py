"""One process at a time: a lock on a file, which the system takes back from a process that is gone."""

import fcntl
import os
from pathlib import Path
from typing import IO

from care_tf.errors import InputError


def open_locked(path: Path, work: str) -> IO[bytes]:
    """Opens a file for reading and appending, and locks it until it is closed.

    Args:
      path: The lock's file; it and its folder are created where they do not exist.
      work: What the lock protects, for the message.

    Returns:
      The open file. Delete it, if at all, before it is closed: another process then makes a new one.

    Raises:
      InputError: Another process holds the lock, or the file cannot be written or locked.
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
            file.close()
            raise InputError(
                f"{path.parent} cannot be locked ({error.strerror}); choose an output on another file system."
            ) from error
        # One that ended between our open and our lock has deleted the file we hold: take the new one.
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            return file
        file.close()
