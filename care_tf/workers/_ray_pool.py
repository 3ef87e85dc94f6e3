"""Workers of a Ray cluster: one that runs already, or one started on this machine."""

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from care_tf.extras import require_extra
from care_tf.workers._worker_pool import SECONDS_FOR_WORKERS, Work, WorkerDiedError, unreachable


class RayPool:
    """A `WorkerPool` on the cluster that this process has joined."""

    def __init__(self, work: Work, packed: bytes, num_under_way: int, resource: str) -> None:
        import ray

        self.num_under_way = num_under_way
        self._packed = ray.put(packed)
        self._work = ray.remote(**{resource: 1}, max_retries=0)(work)

    def submit(self, task: Any) -> Any:
        return self._work.remote(self._packed, task)

    def wait(self, handles: Sequence[Any]) -> list[Any]:
        import ray

        return ray.wait(list(handles), num_returns=1)[0]

    def result(self, handle: Any) -> Any:
        import ray
        from ray.exceptions import NodeDiedError, OutOfMemoryError, WorkerCrashedError

        try:
            return ray.get(handle)
        except (WorkerCrashedError, OutOfMemoryError, NodeDiedError) as error:
            raise WorkerDiedError(str(error)) from error


@contextlib.contextmanager
def open_ray_pool(
    work: Work, packed: bytes, num_local: int, scheduler: str | None, under_way: Callable[[int], int], has_device: bool
) -> Iterator[RayPool]:
    """Joins or starts the cluster; arguments and errors as for `open_dask_pool`.

    `has_device` gives every task a GPU, where the cluster has any, in place of a core.
    """
    require_extra("The backend ray", "ray", "ray")
    import ray

    where = {"num_cpus": num_local, "include_dashboard": False} if scheduler is None else {"address": scheduler}
    try:
        _knock(scheduler)
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, TimeoutError, ValueError, RuntimeError) as error:
        raise unreachable("ray", scheduler, error) from error
    try:
        resources = ray.cluster_resources()
        unit = "GPU" if has_device and resources.get("GPU") else "CPU"
        num_workers = max(int(resources.get(unit, 1)), 1)
        yield RayPool(work, packed, under_way(num_workers), f"num_{unit.lower()}s")
    finally:
        ray.shutdown()


def _knock(scheduler: str | None) -> None:
    """Raises OSError where nothing listens at an address; Ray would try again for many minutes."""
    host, colon, port = (scheduler or "").removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS_FOR_WORKERS).close()
