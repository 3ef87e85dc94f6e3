"""How many bytes of uploads are in memory at once, counted as they come: a slow client holds what it has sent."""

import io
import threading
from typing import Any


class UploadMemory:
    """Room for uploads.

    Args:
      size: Bytes of all of them together.
    """

    def __init__(self, size: int):
        self._left, self._lock = size, threading.Lock()

    def take(self, num_bytes: int) -> bool:
        """Takes room; False, and none taken, where there is not so much."""
        with self._lock:
            if num_bytes > self._left:
                return False
            self._left -= num_bytes
            return True

    def give_back(self, num_bytes: int) -> None:
        """Undoes `take`."""
        with self._lock:
            self._left += num_bytes


class CountedStream(io.RawIOBase):
    """A stream whose bytes take room in a memory until it is closed.

    Args:
      stream: What is read.
      memory: Where its bytes are counted.
      refuse: Called, to raise, where there is no room.
    """

    def __init__(self, stream: Any, memory: UploadMemory, refuse: Any):
        super().__init__()
        self._stream, self._memory, self._refuse, self._taken = stream, memory, refuse, 0

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Reads the next bytes."""
        num_bytes = self._stream.readinto(buffer)
        if not self._memory.take(num_bytes):
            self._refuse()
        self._taken += num_bytes
        return num_bytes

    def close(self) -> None:
        """Gives the room back."""
        if not self.closed:
            self._memory.give_back(self._taken)
        super().close()
