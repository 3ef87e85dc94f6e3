"""How everything here is measured: in turns, in rounds, and compared round by round. Needs the standard library only.

A machine that others share is faster in one minute than in the next, so what is compared takes turns within a round,
and a ratio is that of one round's two times. Given are the median over the rounds, the least and the most.
"""

import contextlib
import ctypes
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Seconds(NamedTuple):
    """What one call took: by the clock, and of this process's processor time, the steadier one on a shared machine."""

    wall: float
    processor: float


class Spread(NamedTuple):
    """Several measurements of one thing."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def seconds_of(function: Callable[[], object]) -> Seconds:
    """Calls a function once."""
    wall, processor = time.perf_counter(), time.process_time()
    function()
    return Seconds(time.perf_counter() - wall, time.process_time() - processor)


def in_turns(
    variants: Mapping[str, Callable[[], object]], num_rounds: int, warm_up: int = 1
) -> dict[str, list[Seconds]]:
    """Name -> what each round's call took. The order is drawn anew in every round: nobody always follows the same one.

    Args:
      variants: Name -> what to call.
      num_rounds: Rounds that count.
      warm_up: Rounds before them, which do not.
    """
    turns = random.Random(0)
    taken: dict[str, list[Seconds]] = {name: [] for name in variants}
    for _ in range(warm_up + num_rounds):
        for name in turns.sample(list(variants), len(variants)):
            taken[name].append(seconds_of(variants[name]))
    return {name: rounds[warm_up:] for name, rounds in taken.items()}


def spread(values: Iterable[float]) -> Spread:
    """Median, least and most."""
    values = list(values)
    return Spread(statistics.median(values), min(values), max(values))


def ratios(values: Sequence[float], base: Sequence[float]) -> Spread:
    """The spread of each round's value / the base's value in the same round."""
    return spread(value / of_base for value, of_base in zip(values, base, strict=True))


def peaks_mib(function: Callable[[], object], num_rounds: int = 3) -> list[float]:
    """The most memory that this process has during each call, after one that does not count: it traces, say.

    Where the system does not forget a peak, as Linux does, it is the most since the process began.
    """
    function()
    peaks = []
    for _ in range(num_rounds):
        _forget_peak()
        function()
        peaks.append(peak_memory_mib())
    return peaks


def _forget_peak() -> None:
    """Makes what this process has now, without what it has freed, its peak."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    mark = Path("/proc/self/clear_refs")
    if mark.exists():
        with contextlib.suppress(OSError):
            mark.write_text("5")


def peak_memory_mib() -> float:
    """The most memory that this process has had at a time (resident set).

    Linux counts `ru_maxrss` from the size of the process that started this one, so its own count comes first.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 1024)
