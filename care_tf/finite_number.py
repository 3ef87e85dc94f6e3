"""What counts as a number in a file that people or programs wrote."""

from typing import Any

import numpy as np

_LARGEST = float(np.finfo(np.float32).max)


def finite_number(value: Any) -> float | None:
    """The number that a value is or whose text it is; None for anything else, and for what float32 cannot hold.

    Example:
      >>> [finite_number(value) for value in ("4e1", "1_0", "1e39", "nan", True)]
      [40.0, None, None, None, None]
    """
    is_text = isinstance(value, str) and "_" not in value  # Python would read 1_0 as 10
    if not is_text and (isinstance(value, bool) or not isinstance(value, int | float)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) <= _LARGEST else None
