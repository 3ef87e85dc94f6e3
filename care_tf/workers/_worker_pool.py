"""What every pool of workers promises: tasks go in, results come out as they become ready."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

from care_tf.errors import InputError

SECONDS_FOR_WORKERS = 60  # to start, or to come back
Work: TypeAlias = Callable[[bytes, Any], Any]
"""A function at the top of a module: (what all tasks share, packed once; a task) -> result. It raises nothing."""


class WorkerDiedError(Exception):
    """The process that worked on a task is gone, killed for its memory or crashed in a library."""


class WorkerPool(Protocol):
    """Processes that work on tasks, each on one at a time.

    Attributes:
      num_under_way: How many tasks to hand out before waiting for a result.
    """

    num_under_way: int

    def submit(self, task: Any) -> Hashable:
        """Hands out a task and returns its handle."""

    def wait(self, handles: Sequence[Any]) -> Iterable[Hashable]:
        """Waits for the first tasks to end, well or not; returns their handles."""

    def result(self, handle: Any) -> Any:
        """What became of a task that has ended.

        Raises:
          WorkerDiedError: Its process is gone.
        """


def unreachable(backend: str, scheduler: str | None, error: Exception) -> InputError:
    """The error for a cluster that does not answer."""
    if scheduler is None:
        return InputError(f"No {backend} cluster starts on this machine: {error}. Use the backend local instead.")
    return InputError(
        f"The scheduler must be the address of a running {backend} cluster that answers. "
        f"Received {scheduler}: {error}. Start the cluster, or correct the address."
    )
