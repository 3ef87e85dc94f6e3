"""Workers of a Dask cluster: one that runs already, or one started on this machine."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from care_tf.extras import require_extra
from care_tf.workers._worker_pool import SECONDS_FOR_WORKERS, Work, WorkerDiedError, unreachable

_SECONDS_BETWEEN_LOOKS = 10


class DaskPool:
    """A `WorkerPool` on the cluster of a `distributed.Client`."""

    def __init__(self, client: Any, work: Work, packed: bytes, num_under_way: int) -> None:
        self.num_under_way = num_under_way
        self._client, self._work, self._packed = client, work, packed

    def submit(self, task: Any) -> Any:
        return self._client.submit(self._work, self._packed, task, pure=False)

    def wait(self, handles: Sequence[Any]) -> set[Any]:
        import distributed

        return self._patient(lambda seconds: distributed.wait(handles, seconds, return_when="FIRST_COMPLETED").done)

    def result(self, handle: Any) -> Any:
        import distributed

        try:
            return self._patient(handle.result)  # computed anew where it was lost with its worker
        except distributed.KilledWorker as error:
            raise WorkerDiedError(str(error)) from error

    def _patient(self, ask: Callable[[float], Any]) -> Any:
        """The answer, however long it takes, while there are workers; Dask would wait for them forever."""
        import distributed

        while True:
            try:
                return ask(_SECONDS_BETWEEN_LOOKS)
            except distributed.TimeoutError:
                self._client.wait_for_workers(1, timeout=SECONDS_FOR_WORKERS)


@contextlib.contextmanager
def open_dask_pool(
    work: Work, packed: bytes, num_local: int, scheduler: str | None, under_way: Callable[[int], int], is_long: bool
) -> Iterator[DaskPool]:
    """Joins the cluster at an address, or starts one of `num_local` processes.

    Args:
      work: What a worker does with a task.
      packed: What all tasks share.
      num_local: Processes, where none runs.
      scheduler: Address of one that runs.
      under_way: Tasks under way for so many workers.
      is_long: A task takes a process, however many threads that has.

    Raises:
      InputError: Dask is not installed, or the cluster does not answer.
    """
    require_extra("The backend dask", "dask", "distributed")
    import distributed

    with contextlib.ExitStack() as stack:
        address = scheduler if scheduler is not None else stack.enter_context(_local_cluster(num_local))
        try:
            client = stack.enter_context(distributed.Client(address))
            client.wait_for_workers(1, timeout=SECONDS_FOR_WORKERS)
        except (OSError, TimeoutError, distributed.TimeoutError, ValueError) as error:
            raise unreachable("dask", scheduler, error) from error
        cores = client.ncores()
        yield DaskPool(client, work, packed, under_way(max(len(cores) if is_long else sum(cores.values()), 1)))


def _local_cluster(num_workers: int) -> Any:
    import distributed

    return distributed.LocalCluster(
        n_workers=num_workers,
        threads_per_worker=1,
        dashboard_address=None,
        memory_limit=0,  # Dask's own would pause a worker that is doing well with a large network
        scheduler_kwargs={"allowed_failures": 0},  # a second try is ours to make, with no other task under way
        silence_logs=logging.ERROR,
    )
