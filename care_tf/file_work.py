"""One function on many files, in threads: opening files waits for the disk, not for a core."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from care_tf.errors import InputError
from care_tf.problems import raise_problems

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

    with ThreadPoolExecutor(num_threads or min(32, 4 * (os.cpu_count() or 1))) as pool:
        try:
            results = pool.map(call, items)
            if not (progress and items):
                return list(results)
            from tqdm import tqdm

            return list(tqdm(results, progress, len(items), unit=unit))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # thousands of files may still be waiting
            raise


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
