"""One function on many files, in threads: opening files waits for the disk, not for a core."""

import _thread
import os
import queue
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, TypeVar

from care_tf.errors import InputError
from care_tf.problems import raise_problems

_WAKE_SECONDS = 0.2  # a thread that nobody could tell to end, since Ctrl-C came just then, sees it by itself
Item = TypeVar("Item")
Result = TypeVar("Result")


def map_files(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    progress: str = "",
    unit: str = "file",
    num_threads: int | None = None,
) -> list[Result | InputError]:
    """Calls a function on every item; one that is bad does not stop the others.

    Any exception but an `InputError`, Ctrl-C among them, ends the work as soon as the calls in progress return.

    Args:
      function: Takes one item. It runs in several threads at once.
      items: n paths, rows or whatever the function takes.
      progress: Title of a progress bar with the time left; "" shows none.
      unit: What the bar counts.
      num_threads: None takes four per core, up to 32.

    Returns:
      n results in the items' order; the `InputError` itself where the function raised one.

    Example:
      >>> map_files(len, ["a", "bc"])
      [1, 2]
    """
    items = list(items)

    def call(item: Item) -> Result | InputError:
        try:
            return function(item)
        except InputError as error:
            return error

    num_threads = num_threads or min(32, 4 * (os.cpu_count() or 1))
    results = results_in_threads(call, items, num_threads, len(items))
    try:  # not contextlib.closing, at whose own beginning Ctrl-C may come
        if not (progress and items):
            return list(results)
        from tqdm import tqdm

        return list(tqdm(results, progress, len(items), unit=unit))
    finally:
        results.close()


def work_on_chunks(function: Callable[[int], object], starts: Sequence[int]) -> None:
    """Calls a function on chunks of files one by one; on the rest in threads once one has waited for the disk.

    Threads wait together. Where the files are at hand they would only hand Python's lock to each other: an image's
    header then took 40 to 130 microseconds of processor time on two cores in place of 20.

    Args:
      function: Takes the number of a chunk's first file. It raises no `InputError`.
      starts: Those numbers.
    """
    for number, start in enumerate(starts):
        wall, processor = time.perf_counter(), time.thread_time()
        function(start)
        wall, processor = time.perf_counter() - wall, time.thread_time() - processor
        if wall > 3 * processor:
            map_files(function, starts[number + 1 :])
            return


def results_in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], num_threads: int, ahead: int
) -> Generator[Result, None, None]:
    """Yields what a function gives for each item, in their order, while threads work on those that follow.

    Closed early, or ended by an exception, it waits for the calls in progress and begins no other.

    Not a ThreadPoolExecutor: Ctrl-C in the midst of handing that one an item, or of ending it, can leave its lock taken
    (CPython issue 74174), and the process waits for ever. Here nothing that a thread needs is locked by Python code.

    Args:
      function: Takes one item. What it raises is raised here, in its item's place.
      items: n of them.
      num_threads: How many calls run at once.
      ahead: Items begun before the first of them is taken from here.
    """
    todo: queue.SimpleQueue[tuple[int, Item] | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Any, BaseException | None] | None] = queue.SimpleQueue()
    ended: list[bool] = []
    is_stopped = False

    def work() -> None:
        try:
            while not is_stopped:
                try:
                    task = todo.get(timeout=_WAKE_SECONDS)
                except queue.Empty:
                    continue
                if task is None or is_stopped:
                    return
                place, item = task
                try:
                    done.put((place, function(item), None))
                except BaseException as error:
                    done.put((place, None, error))
        finally:
            ended.append(True)
            done.put(None)

    num_started = num_begun = 0
    results: dict[int, tuple[Any, BaseException | None]] = {}
    try:
        while num_started < min(num_threads, len(items)):
            _thread.start_new_thread(work, ())  # threading's own waits for a lock, and the exit for the thread
            num_started += 1
        for wanted in range(len(items)):
            while num_begun < min(wanted + ahead, len(items)):
                todo.put((num_begun, items[num_begun]))
                num_begun += 1
            while wanted not in results:
                finished = done.get()
                if finished is not None:
                    results[finished[0]] = finished[1:]
            result, error = results.pop(wanted)
            if error is not None:
                raise error
            yield result
    finally:
        is_stopped = True
        for _ in range(num_started):
            todo.put(None)
        while len(ended) < num_started:  # a thread adds to both
            done.get()


def for_each_file(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    where: str,
    progress: str = "",
    unit: str = "file",
) -> list[Result]:
    """`map_files` for work that all items must pass.

    Args:
      function, items, progress, unit: As in `map_files`.
      where: What the items belong to, for the message.

    Returns:
      n results in the items' order.

    Raises:
      InputError: The function raised some: up to 20 are listed, with the total.
    """
    results = map_files(function, items, progress=progress, unit=unit)
    raise_problems(where, [str(result) for result in results if isinstance(result, InputError)])
    return [result for result in results if not isinstance(result, InputError)]
