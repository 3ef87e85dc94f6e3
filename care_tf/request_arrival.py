"""The bytes of a request as they arrive: how long they may take, and who is silent."""

import io
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

PART_BYTES, PART_S = 6_000_000, 60  # 100 kB a second
MOST_S = 900  # more than 64 MiB take at that speed


class RequestBytes(io.RawIOBase):
    """What a client sends, while it is worth waiting for: then the end, as if it had hung up.

    Every 6 MB, and the rest, must come within 60 s, and all of it within 15 minutes.

    Args:
      raw: What reads from the connection, unbuffered.
      connection: Its socket.
      waiting: Entered while the next bytes are waited for.
    """

    def __init__(self, raw: Any, connection: socket.socket, waiting: Callable[[], AbstractContextManager[None]]):
        super().__init__()
        self._raw, self._connection, self._waiting = raw, connection, waiting
        now = time.monotonic()
        self._end, self._part_end, self._missing = now + MOST_S, now + PART_S, PART_BYTES

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Waits for the next bytes; gives their number, 0 at the end."""
        left = min(self._part_end, self._end) - time.monotonic()
        if left <= 0:
            return 0
        self._connection.settimeout(left)
        try:
            with self._waiting():
                num_bytes = self._raw.readinto(buffer)
        except TimeoutError:  # after which the reader is of no more use
            self._end = 0.0
            return 0
        finally:
            self._connection.settimeout(PART_S)  # for the answer
        self._missing -= num_bytes
        if self._missing <= 0:
            self._part_end, self._missing = time.monotonic() + PART_S, PART_BYTES
        return num_bytes

    def close(self) -> None:
        """Closes what reads from the connection, too."""
        self._raw.close()
        super().close()
