"""How much longer work in equal steps takes."""

import datetime
import statistics
from collections.abc import Sequence


def seconds_left(step_seconds: Sequence[float], num_steps: int) -> float:
    """The time that more steps take at the median duration so far, which one slow step does not change.

    Args:
      step_seconds: Durations of the steps that are done, s; at least one. Of an even number the larger middle one
        counts.
      num_steps: Steps to go.

    Returns:
      Seconds.

    Example:
      >>> seconds_left([60.0, 2.0, 3.0], 10)
      30.0
    """
    return statistics.median_high(step_seconds) * num_steps


def as_duration(seconds: float) -> datetime.timedelta:
    """Seconds as a duration in whole seconds, to print.

    Example:
      >>> print(as_duration(3723.4))
      1:02:03
    """
    return datetime.timedelta(seconds=round(seconds))
