"""Ctrl-C, held back while a library works that must not be interrupted, and noted for a command's end."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class _Noting:
    """A handler of Ctrl-C that interrupts as Python's own does, and remembers it."""

    def __init__(self, came: list[int]):
        self._came = came

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._came.append(number)
        signal.default_int_handler(number, frame)


@contextlib.contextmanager
def interrupt_noted(came: list[int]) -> Iterator[None]:
    """Appends to `came` when a Ctrl-C interrupts the block.

    An error that ends such a block may be the Ctrl-C itself: within a compiled library a `KeyboardInterrupt` can come
    out as another error. Matplotlib's `ValueError` was seen.
    """
    if not _is_ours():
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, _Noting(came))
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def interrupt_held() -> Iterator[None]:
    """Holds a Ctrl-C that comes inside the block back, to interrupt after it.

    For HDF5: within h5py a `KeyboardInterrupt` can come out as another error (a `TypeError` was seen), which a reader
    would take for a damaged file; and what is written is whole. A second Ctrl-C is not held back.

    Nothing changes outside the main thread, which alone is interrupted, nor where an application has its own handler.
    """
    if not _is_ours():
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    came: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            signal.default_int_handler(number, frame)

    try:
        signal.signal(signal.SIGINT, hold)
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


def _is_ours() -> bool:
    handler = signal.getsignal(signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread()
    return in_main and (handler is signal.default_int_handler or isinstance(handler, _Noting))
