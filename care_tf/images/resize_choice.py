"""The two ways by which an image gets the size that a network takes."""

from typing import Any

from care_tf.errors import InputError

STRETCH, PAD = "stretch", "pad"
RESIZES = (STRETCH, PAD)


def check_resize(resize: Any) -> None:
    """Raises an InputError unless it is "stretch" or "pad"."""
    if resize not in RESIZES:
        raise InputError(f"resize must be one of {', '.join(RESIZES)}. Received {resize!r}.")
