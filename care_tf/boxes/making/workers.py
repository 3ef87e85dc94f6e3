"""Who does the work: this process, worker processes on this machine, or a Dask or Ray cluster, all through joblib."""

import contextlib
import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any, Literal

from care_tf.boxes.making.one_image import ImageResult, ImageTask
from care_tf.boxes.making.worker_process import portable_annotate
from care_tf.errors import InputError

BACKENDS = ("local", "dask", "ray")
# joblib's Ray backend hands back a list, not a stream: a batch of this many images per worker at a time.
_RAY_IMAGES_PER_WORKER = 16
_SECONDS_FOR_WORKERS = 60


@dataclasses.dataclass(frozen=True)
class Workers:
    """Where images are worked on.

    Args:
      backend: "local": processes of this machine; "dask" or "ray": a cluster, or one started on this machine for the
        run.
      num_workers: Images under way at the same time. None: one per core of this machine or of the cluster. One local
        worker is this process itself.
      scheduler: Address of a running cluster, such as "tcp://10.0.0.1:8786" or "ray://10.0.0.1:10001". Its machines
        need care_tf installed and see the images under the same paths.

    Raises:
      InputError: An unknown backend, less than one worker, or a scheduler for "local".
    """

    backend: Literal["local", "dask", "ray"] = "local"
    num_workers: int | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise InputError(f"backend must be one of {', '.join(BACKENDS)}; received {self.backend!r}")
        if self.num_workers is not None and self.num_workers < 1:
            raise InputError(f"the number of workers must be at least 1; received {self.num_workers}")
        if self.scheduler is not None and self.backend == "local":
            raise InputError(
                f"a scheduler goes with the backends dask and ray; received {self.scheduler!r} with local workers"
            )


Run = Callable[[bytes, Iterator[ImageTask]], Iterator[ImageResult]]
"""(what `one_image.pack` returned, images) -> results in the order in which they are ready."""


@contextlib.contextmanager
def open_workers(workers: Workers) -> Iterator[Run]:
    """Starts or joins the workers; yields a function that runs images on them.

    Raises:
      InputError: The backend is not installed, or the cluster does not answer.
    """
    opened = {"local": _local, "dask": _dask, "ray": _ray}[workers.backend]
    with opened(workers) as run:
        yield run


@contextlib.contextmanager
def _local(workers: Workers) -> Iterator[Run]:
    import joblib
    from joblib.externals.loky import get_reusable_executor

    num_workers = num_local(workers)
    try:
        with joblib.parallel_config("loky", inner_max_num_threads=1):
            yield lambda packed, tasks: _stream(packed, tasks, num_workers, 2 * num_workers, is_own=True)
    finally:
        # joblib keeps its processes for the next call; they hold much memory, and modules as they were.
        get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


@contextlib.contextmanager
def _dask(workers: Workers) -> Iterator[Run]:
    import joblib

    try:
        import distributed
    except ImportError as error:
        raise _not_installed("dask", "dask[distributed]") from error
    with contextlib.ExitStack() as stack:
        if workers.scheduler is None:
            # No limit of Dask's own: it would count TensorFlow's libraries in and pause a worker that is doing well.
            cluster = distributed.LocalCluster(
                n_workers=num_local(workers),
                threads_per_worker=1,
                dashboard_address=None,
                memory_limit=0,
                silence_logs=logging.ERROR,
            )
            address = stack.enter_context(cluster)
        else:
            address = workers.scheduler
        try:
            client = stack.enter_context(distributed.Client(address))
            client.wait_for_workers(1, timeout=_SECONDS_FOR_WORKERS)
        except (OSError, TimeoutError, ValueError) as error:
            raise _unreachable(workers, error) from error
        num_cores = max(sum(client.ncores().values()), 1)
        # joblib takes all cores of a Dask cluster: on one that runs already, fewer workers is fewer images handed out.
        limited = workers.scheduler is not None and workers.num_workers is not None
        num_under_way = workers.num_workers if limited else 2 * num_cores
        stack.enter_context(joblib.parallel_config(_dask_backend(client)))
        yield lambda packed, tasks: _stream(packed, tasks, num_cores, num_under_way, workers.scheduler is None)


def _dask_backend(client: Any) -> Any:
    """joblib's backend for Dask, which by itself never says that a task's worker died: the run would wait forever."""
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):
        def submit(self, func, callback=None):
            future = super().submit(func, callback)
            if callback is not None:
                future.add_done_callback(lambda done: callback(done.exception()) if done.exception() else None)
            return future

        def retrieve_result_callback(self, out):
            if isinstance(out, Exception):
                raise out
            return super().retrieve_result_callback(out)

        def effective_n_jobs(self, n_jobs):
            # With one, and one may be left when a worker died, joblib would do the image here: it may be a deadly one.
            return max(super().effective_n_jobs(n_jobs), 2)

    return Backend(client=client, wait_for_workers_timeout=_SECONDS_FOR_WORKERS)


@contextlib.contextmanager
def _ray(workers: Workers) -> Iterator[Run]:
    import joblib

    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise _not_installed("ray", "ray") from error
    register_ray()
    try:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        if workers.scheduler is None:
            ray.init(num_cpus=num_local(workers), include_dashboard=False, **quiet)
        else:
            ray.init(address=workers.scheduler, **quiet)
    except (OSError, TimeoutError, ValueError, RuntimeError) as error:
        raise _unreachable(workers, error) from error
    try:
        num_workers = workers.num_workers or max(int(ray.cluster_resources().get("CPU", 1)), 1)
        with joblib.parallel_config("ray", n_jobs=num_workers):
            yield lambda packed, tasks: _batches(packed, tasks, num_workers)
    finally:
        ray.shutdown()


def _stream(
    packed: bytes, tasks: Iterator[ImageTask], num_workers: int, num_under_way: int | None, is_own: bool
) -> Iterator[ImageResult]:
    import joblib

    function = joblib.delayed(portable_annotate(is_own))
    parallel = joblib.Parallel(
        n_jobs=num_workers, return_as="generator_unordered", batch_size=1, pre_dispatch=num_under_way
    )
    yield from parallel(function(packed, tuple(task)) for task in tasks)


def _batches(packed: bytes, tasks: Iterator[ImageTask], num_workers: int) -> Iterator[ImageResult]:
    import joblib

    function = joblib.delayed(portable_annotate(is_own=False))
    with joblib.Parallel(n_jobs=num_workers, batch_size=1) as parallel:  # one set of processes for all batches
        while batch := list(itertools.islice(tasks, _RAY_IMAGES_PER_WORKER * num_workers)):
            yield from parallel(function(packed, tuple(task)) for task in batch)


def num_local(workers: Workers) -> int:
    """Processes on this machine; its cores, as far as they are ours to use, where no number is given."""
    import joblib

    return workers.num_workers or joblib.cpu_count()


def _not_installed(backend: str, package: str) -> InputError:
    return InputError(f"backend {backend} needs the package {package}: pip install 'care_tf[{backend}]'")


def _unreachable(workers: Workers, error: Exception) -> InputError:
    where = f"at {workers.scheduler}" if workers.scheduler else "on this machine"
    return InputError(f"no {workers.backend} cluster answers {where}: {error}; check the address and its workers")
