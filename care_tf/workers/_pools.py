"""The pool that a choice of workers stands for."""

import contextlib
import os
from collections.abc import Sequence

from care_tf.workers._dask_pool import open_dask_pool
from care_tf.workers._local_pool import LocalPool
from care_tf.workers._ray_pool import open_ray_pool
from care_tf.workers._worker_pool import Work, WorkerPool
from care_tf.workers._workers import Workers


def open_pool(
    workers: Workers, work: Work, packed: bytes, *, is_long: bool = False, devices: Sequence[str] = ()
) -> contextlib.AbstractContextManager[WorkerPool]:
    """Starts or joins the workers for the time of a `with` block.

    Args:
      workers: Where.
      work: What a worker does with a task.
      packed: What all tasks share.
      is_long: False: tasks of one core each, of which a worker has a second one waiting. True: tasks that use all they
        can get, one for each worker; on a Ray cluster each has a GPU where there are any.
      devices: This machine's GPUs, as CUDA_VISIBLE_DEVICES names them, one for each local worker around. Without any,
        the cores are shared out between long tasks. The workers of a Dask cluster see what they were started with.

    Raises:
      InputError: The backend is not installed, or the cluster does not answer.
    """

    def under_way(num_workers: int) -> int:
        # A cluster that runs already keeps its processes: fewer workers is fewer tasks handed out.
        chosen = workers.num_workers if workers.scheduler is not None else None
        return chosen or (num_workers if is_long else 2 * num_workers)

    if workers.backend == "local":
        environments = _environments(devices, workers.num_local) if is_long else ({},)
        return contextlib.closing(
            LocalPool(work, packed, workers.num_local, under_way(workers.num_local), environments)
        )
    cluster = (work, packed, workers.num_local, workers.scheduler, under_way)
    return (
        open_dask_pool(*cluster, is_long=is_long)
        if workers.backend == "dask"
        else open_ray_pool(*cluster, has_device=is_long)
    )


def _environments(devices: Sequence[str], num_workers: int) -> list[dict[str, str]]:
    if devices:
        # Two of them on one GPU must not take all its memory.
        return [{"CUDA_VISIBLE_DEVICES": name, "TF_FORCE_GPU_ALLOW_GROWTH": "true"} for name in devices]
    threads = str(max(Workers().num_local // num_workers, 1))
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    return [{name: threads for name in names if name not in os.environ}]
