"""16-bit PNGs: which files are some, the 8-bit gray that a number stands for, and the warning where nobody says."""

import warnings
from typing import Any

from care_tf.errors import InputError

LARGEST = 2**16 - 1
HEAD_BYTES = 26
_DARK_BELOW = 2**15  # no number has the uppermost bit


def is_16_bit_png(head: bytes) -> bool:
    """Whether the first `HEAD_BYTES` of a file are those of a PNG with 16 bits per channel.

    Example:
      >>> is_16_bit_png(b"not an image")
      False
    """
    return head[:8] == b"\x89PNG\r\n\x1a\n" and head[24:25] == b"\x10"


def check_max_pixel_value(value: Any) -> None:
    """Raises an InputError unless it is None or a whole number in [1, 65535]."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST):
        raise InputError(
            f"max_pixel_value must be a whole number in [1, {LARGEST}], the largest number that the 16-bit PNGs can "
            f"hold: 4095 for 12 bits. Received {value!r}."
        )


def gray_of_16_bits(numbers: Any, max_pixel_value: int) -> Any:
    """The gray 0..255 of numbers 0..`max_pixel_value`: round(255 * number / max_pixel_value), halves upward.

    Args:
      numbers: int32 array or tensor of any shape, in [0, 65535].
      max_pixel_value: What becomes 255.

    Returns:
      The same type and shape; above 255 where a number is above `max_pixel_value` by half a gray or more.

    Example:
      >>> [gray_of_16_bits(number, 4095) for number in (0, 2048, 4095)]
      [0, 128, 255]
    """
    return (510 * numbers + max_pixel_value) // (2 * max_pixel_value)


def warn_if_dark(largest: dict[str, int], *, stacklevel: int = 2) -> None:
    """Warns that 16-bit PNGs are read nearly black, if some are.

    Without `max_pixel_value` a 16-bit PNG is read by the upper byte of its numbers. Where they fill 12 bits only, a
    sixteenth of the grays is left.

    Args:
      largest: File -> the largest number in it, of 16-bit PNGs.
      stacklevel: As of `warnings.warn`, from the caller.
    """
    dark = {path: number for path, number in largest.items() if 0 < number < _DARK_BELOW}
    if not dark:
        return
    path = max(dark, key=lambda name: dark[name])
    others = f", as are {len(dark) - 1} others" if len(dark) > 1 else ""
    warnings.warn(
        f"{path}: the largest value in this 16-bit PNG is {dark[path]} of {LARGEST}, so it is read dark{others}; set "
        f"max_pixel_value (data.max_pixel_value, --max-pixel-value) to the largest that a pixel can have, perhaps "
        f"{2 ** dark[path].bit_length() - 1}, or to {LARGEST} where this is right",
        UserWarning,
        stacklevel=stacklevel + 1,
    )
