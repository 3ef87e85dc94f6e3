"""Results as they become ready, whatever an image does to the process that works on it."""

import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

from care_tf.boxes.making.one_image import ImageResult, ImageTask, annotate, file_state
from care_tf.boxes.making.workers import Run, Workers, num_local, open_workers
from care_tf.errors import InputError


def stream_results(packed: bytes, tasks: Sequence[ImageTask], workers: Workers) -> Generator[ImageResult, None, None]:
    """Results in the order in which they are ready; a few images per worker are under way, nothing else is kept.

    A worker that dies (killed for its memory, a crash in a library) does not end the run: the images that it may have
    died of are tried again one at a time, and one that kills its worker again has failed.

    Args:
      packed: The method and settings, from `one_image.pack`.
      tasks: The images.
      workers: Who does the work.

    Yields:
      One result per task.

    Raises:
      InputError: The backend is not installed, or the cluster cannot be reached or is lost on the way.
    """
    if not tasks:
        return
    if workers.backend == "local" and num_local(workers) == 1:
        for task in tasks:
            yield annotate(packed, task)
        return
    with open_workers(workers) as run:
        try:
            yield from _surviving_deaths(run, packed, tasks)
        except Exception as error:
            # `annotate` itself raises nothing: the cluster is gone, or its machines lack care_tf or its packages.
            if workers.backend == "local":
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(
                f"the {workers.backend} workers cannot go on ({reason}); what is finished is kept: once they are "
                "back, the same command goes on from there"
            ) from error


def _surviving_deaths(run: Run, packed: bytes, tasks: Sequence[ImageTask]) -> Iterator[ImageResult]:
    waiting = {task.row: task for task in tasks}
    while waiting:
        started: dict[int, ImageTask] = {}
        try:
            for result in run(packed, _noted(waiting.values(), started)):
                del started[result.row], waiting[result.row]
                yield result
        except _deaths():
            for task in list(started.values()):
                yield _alone(run, packed, task)
                del waiting[task.row]


def _alone(run: Run, packed: bytes, task: ImageTask) -> ImageResult:
    """The result of an image with no other under way, so that the death of a worker has one cause only."""
    try:
        (result,) = run(packed, iter([task]))
        return result
    except _deaths() as death:
        size, modified_ns = file_state(task.image_path)
        message = f"its worker process died twice, perhaps for want of memory: {death}"
        return ImageResult(task.row, "failed", message=" ".join(message.split()), size=size, modified_ns=modified_ns)


def _noted(tasks: Iterable[ImageTask], started: dict[int, ImageTask]) -> Iterator[ImageTask]:
    for task in list(tasks):
        started[task.row] = task
        yield task


def _deaths() -> tuple[type[Exception], ...]:
    """The exceptions that say: a worker process is gone, and with it an image that was under way."""
    scheduler, ray = sys.modules.get("distributed.scheduler"), sys.modules.get("ray.exceptions")
    others = [getattr(scheduler, "KilledWorker", None), getattr(ray, "RayActorError", None)]
    return (BrokenProcessPool, *(death for death in others if death is not None))
