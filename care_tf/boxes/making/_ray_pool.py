"""Workers of a Ray cluster: one that runs already, or one started on this machine."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from care_tf.boxes.making._worker_pool import WorkerDiedError, unreachable
from care_tf.boxes.making.one_image import ImageResult, ImageTask, annotate_in_worker
from care_tf.extras import require_extra


class RayPool:
    """A `WorkerPool` on the cluster that this process has joined."""

    def __init__(self, packed: bytes, num_under_way: int) -> None:
        import ray

        self.num_under_way = num_under_way
        self._packed = ray.put(packed)
        self._annotate = ray.remote(num_cpus=1, max_retries=0)(annotate_in_worker)

    def submit(self, task: ImageTask) -> Any:
        return self._annotate.remote(self._packed, task)

    def wait(self, handles: Sequence[Any]) -> list[Any]:
        import ray

        return ray.wait(list(handles), num_returns=1)[0]

    def result(self, handle: Any) -> ImageResult:
        import ray
        from ray.exceptions import NodeDiedError, OutOfMemoryError, WorkerCrashedError

        try:
            return ray.get(handle)
        except (WorkerCrashedError, OutOfMemoryError, NodeDiedError) as error:
            raise WorkerDiedError(str(error)) from error


@contextlib.contextmanager
def open_ray_pool(packed: bytes, num_local: int, scheduler: str | None, num_under_way: int | None) -> Iterator[RayPool]:
    """Joins or starts the cluster; arguments and errors as for `open_dask_pool`."""
    require_extra("The backend ray", "ray", "ray")
    import ray

    where = {"num_cpus": num_local, "include_dashboard": False} if scheduler is None else {"address": scheduler}
    try:
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, TimeoutError, ValueError, RuntimeError) as error:
        raise unreachable("ray", scheduler, error) from error
    try:
        num_cores = max(int(ray.cluster_resources().get("CPU", 1)), 1)
        yield RayPool(packed, num_under_way or 2 * num_cores)
    finally:
        ray.shutdown()
