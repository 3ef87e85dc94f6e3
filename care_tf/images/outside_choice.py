"""What may become of the part of an image that lies outside its boxes."""

from typing import Any, Final, Literal, get_args

from care_tf.errors import InputError

KEEP: Final = "keep"
PAINT: Final = "paint"
CROP: Final = "crop"
OutsideChoice = Literal["keep", "paint", "crop"]
OUTSIDE_CHOICES: tuple[OutsideChoice, ...] = get_args(OutsideChoice)


def check_outside_boxes(choice: Any) -> None:
    """Raises an InputError unless it is "keep", "paint" or "crop"."""
    if choice not in OUTSIDE_CHOICES:
        raise InputError(f"outside_boxes must be one of {', '.join(OUTSIDE_CHOICES)}. Received {choice!r}.")
