"""Ctrl-C, held back while a library works that must not be interrupted."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def interrupt_held() -> Iterator[None]:
    """Holds a Ctrl-C that comes inside the block back, to interrupt after it.

    For HDF5: within h5py a `KeyboardInterrupt` can come out as another error (a `TypeError` was seen), which a reader
    would take for a damaged file; and what is written is whole. A second Ctrl-C is not held back.

    Nothing changes outside the main thread, which alone is interrupted, nor where an application has its own handler.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    came: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        if came:
            signal.default_int_handler(number, frame)
        came.append(number)

    try:
        signal.signal(signal.SIGINT, hold)
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if came:
            raise KeyboardInterrupt
