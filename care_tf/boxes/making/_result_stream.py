"""Results as they become ready, whatever an image does to the process that works on it."""

import contextlib
import itertools
from collections.abc import Generator, Hashable, Iterator, Sequence

from care_tf.boxes.making._dask_pool import open_dask_pool
from care_tf.boxes.making._local_pool import LocalPool
from care_tf.boxes.making._ray_pool import open_ray_pool
from care_tf.boxes.making._worker_pool import WorkerDiedError, WorkerPool
from care_tf.boxes.making.one_image import ImageResult, ImageTask, annotate
from care_tf.boxes.making.workers import Workers
from care_tf.errors import InputError
from care_tf.files import file_state


def stream_results(packed: bytes, tasks: Sequence[ImageTask], workers: Workers) -> Generator[ImageResult, None, None]:
    """Results in the order in which they are ready; a few images per worker are under way, nothing else is kept.

    A worker that dies (killed for its memory, a crash in a library) does not end the run: the images that may have
    killed it are tried again at the end, one at a time, and one that kills its worker again has failed.

    Raises:
      InputError: The backend is not installed, or the cluster cannot be reached or is lost on the way.
    """
    if not tasks:
        return
    if workers.backend == "local" and workers.num_local == 1:
        for task in tasks:
            yield annotate(packed, task)
        return
    with open_pool(workers, packed) as pool:
        try:
            yield from _surviving_deaths(pool, tasks)
        except Exception as error:
            # `annotate` itself raises nothing: the cluster is gone, or its machines lack care_tf or its packages.
            if workers.backend == "local":
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(
                f"The {workers.backend} workers cannot continue ({reason}); what is finished is kept: once they are "
                "back, the same command continues from there."
            ) from error


def open_pool(workers: Workers, packed: bytes) -> contextlib.AbstractContextManager[WorkerPool]:
    """Starts or joins the workers for the time of a `with` block."""
    if workers.backend == "local":
        return contextlib.closing(LocalPool(packed, workers.num_local))
    opened = open_dask_pool if workers.backend == "dask" else open_ray_pool
    # A cluster that runs already keeps its processes: fewer workers is fewer images handed out.
    num_under_way = None if workers.scheduler is None else workers.num_workers
    return opened(packed, workers.num_local, workers.scheduler, num_under_way)


def _surviving_deaths(pool: WorkerPool, tasks: Sequence[ImageTask]) -> Iterator[ImageResult]:
    waiting = iter(tasks)
    under_way: dict[Hashable, ImageTask] = {}
    lost: list[ImageTask] = []
    while True:
        for task in itertools.islice(waiting, pool.num_under_way - len(under_way)):
            under_way[pool.submit(task)] = task
        if not under_way:
            break
        for handle in pool.wait(list(under_way)):
            task = under_way.pop(handle)
            try:
                yield pool.result(handle)
            except WorkerDiedError:
                lost.append(task)
    for task in lost:
        yield _alone(pool, task)


def _alone(pool: WorkerPool, task: ImageTask) -> ImageResult:
    """The result of an image with no other under way, so that the death of a worker has one cause only."""
    handle = pool.submit(task)
    pool.wait([handle])
    try:
        return pool.result(handle)
    except WorkerDiedError as death:
        size, modified_ns = file_state(task.image_path)
        message = f"its worker process died twice, perhaps for lack of memory: {death}"
        return ImageResult(task.row, "failed", message=" ".join(message.split()), size=size, modified_ns=modified_ns)
