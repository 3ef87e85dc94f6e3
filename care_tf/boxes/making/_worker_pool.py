"""What every pool of workers promises: images go in, results come out as they become ready."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Protocol

from care_tf.boxes.making.one_image import ImageResult, ImageTask
from care_tf.errors import InputError

SECONDS_FOR_WORKERS = 60  # to start, or to come back


class WorkerDiedError(Exception):
    """The process that worked on an image is gone, killed for its memory or crashed in a library."""


class WorkerPool(Protocol):
    """Processes that work on images, each on one at a time.

    Attributes:
      num_under_way: How many images to hand out before waiting for a result.
    """

    num_under_way: int

    def submit(self, task: ImageTask) -> Hashable:
        """Hands out an image and returns its handle."""

    def wait(self, handles: Sequence[Any]) -> Iterable[Hashable]:
        """Waits for the first images to end, well or not; returns their handles."""

    def result(self, handle: Any) -> ImageResult:
        """What became of an image that has ended.

        Raises:
          WorkerDiedError: Its process is gone.
        """


def unreachable(backend: str, scheduler: str | None, error: Exception) -> InputError:
    """The error for a cluster that does not answer."""
    where = f"at {scheduler}" if scheduler else "on this machine"
    return InputError(f"No {backend} cluster answers {where}: {error}; check the address and its workers.")
