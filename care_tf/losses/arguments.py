"""The checks of the arguments that several losses take: numbers, choices, flags, class counts, class weights."""

import math
from typing import Any

import numpy as np

from care_tf.errors import InputError


def checked_number(name: str, value: Any, below: float = math.inf, is_open: bool = False) -> float:
    """A number from 0 on, as a float.

    Args:
      name: Of the argument.
      value: The value received.
      below: What it stays below.
      is_open: Whether 0 itself is refused.

    Raises:
      InputError: It is no number in that range.
    """
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not 0 <= value < below or (is_open and value == 0):
        interval = f"{'(' if is_open else '['}0, {below:g})"
        raise InputError(f"{name} must be a number in {interval}. Received {name}={value!r}.")
    return float(value)


def checked_whole(name: str, value: int, least: int) -> int:
    """A whole number from `least` to 2^31 - 1.

    Raises:
      InputError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
        raise InputError(f"{name} must be a whole number, at least {least}. Received {name}={value!r}.")
    return value


def checked_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """The value, one of the choices.

    Raises:
      InputError: It is none of them.
    """
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}. Received {name}={value!r}.")
    return value


def checked_flag(name: str, value: Any) -> bool:
    """The value, True or False.

    Raises:
      InputError: It is neither.
    """
    if not isinstance(value, bool):
        raise InputError(f"{name} must be true or false. Received {name}={value!r}.")
    return value


def checked_counts(counts: Any) -> np.ndarray:
    """The class counts as float64 (C,); raises an InputError unless all of at least two are positive."""
    vector = _vector(counts, "class counts")
    if not (np.isfinite(vector) & (vector > 0)).all():
        raise InputError(
            f"Every class needs at least one sample. Received the class counts {vector.tolist()}. Leave empty classes "
            "out, or count another split."
        )
    return vector


def checked_weights(weights: Any, num_classes: int | None = None) -> np.ndarray:
    """The class weights as float64 (C,); raises an InputError unless all of at least two are finite and >= 0.

    Args:
      weights: (C,).
      num_classes: C, where it is known.
    """
    vector = _vector(weights, "class weights")
    if num_classes is not None and num_classes != len(vector):
        raise InputError(f"There must be one class weight for each of {num_classes} classes. Received {len(vector)}.")
    if not (np.isfinite(vector) & (vector >= 0)).all():
        raise InputError(f"Class weights must be finite and >= 0. Received {vector.tolist()}.")
    return vector


def _vector(values: Any, what: str) -> np.ndarray:
    try:
        vector = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"The {what} must be numbers, one for each class. Received {values!r}.") from error
    if vector.ndim != 1 or len(vector) < 2:
        raise InputError(
            f"The {what} must have shape (classes,), one number for each of at least two classes. "
            f"Received {values!r} of shape {vector.shape}."
        )
    return vector
