"""Results as they become ready, whatever a task does to the process that works on it."""

import itertools
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

from care_tf.workers._worker_pool import WorkerDiedError, WorkerPool

Task = TypeVar("Task")
Result = TypeVar("Result")


def stream_results(pool: WorkerPool, tasks: Sequence[Task], failed: Callable[[Task, str], Result]) -> Iterator[Result]:
    """Results in the order in which they are ready; a few tasks per worker are under way, nothing else is kept.

    A worker that dies (killed for its memory, a crash in a library) does not end the others' work: the tasks that may
    have killed it are tried again at the end, one at a time, and one that kills its worker again has failed.

    Args:
      pool: Of `open_pool`.
      tasks: What to do.
      failed: The result of a task that kills its worker, from it and what is known of the deaths.
    """
    waiting = iter(tasks)
    under_way: dict[Hashable, Task] = {}
    lost: list[Task] = []
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
    for task in lost:  # with no other under way, so that the death of a worker has one cause only
        handle = pool.submit(task)
        pool.wait([handle])
        try:
            yield pool.result(handle)
        except WorkerDiedError as death:
            message = f"its worker process died twice, perhaps for lack of memory: {death}"
            yield failed(task, " ".join(message.split()))
