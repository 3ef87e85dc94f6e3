"""Ctrl-C, held back while a library works that must not be interrupted."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def interrupt_held() -> Iterator[None]:
    """Lets a Ctrl-C that comes inside the block interrupt behind it.

    HDF5 turns a `KeyboardInterrupt` within h5py into whatever error it was about to look for, and the file is lost
    either way: writing it to its end takes less time. Nothing changes outside the main thread, which alone is
    interrupted, and where the handler is none of Python's.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)
