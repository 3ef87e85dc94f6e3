"""Values out of parsed documents, each of the kind it must have or an `InputError` that says where it is not."""

from typing import Any

import numpy as np

from care_tf.errors import InputError, shown
from care_tf.finite_number import finite_number

MAX_SIZE_PX = 1_000_000  # no image has longer sides; a stated size beyond is a mistake


def number(value: Any, what: str, where: str) -> float:
    """A finite number, given as one or as its text."""
    result = finite_number(value)
    if result is None:
        raise InputError(f"{where}: {what} must be a finite number. Received {shown(value)}.")
    return result


def numbers(value: Any, count: int, what: str, where: str) -> list[float]:
    """A list of `count` finite numbers."""
    if not isinstance(value, list) or len(value) != count:
        raise InputError(f"{where}: {what} must be a list of {count} numbers. Received {shown(value)}.")
    return [number(entry, what, where) for entry in value]


def points(value: Any, what: str, where: str) -> np.ndarray:
    """A list of at least one [x, y], as float64 (n,2)."""
    return np.array([numbers(point, 2, f"a point of {what}", where) for point in entries(value, what, where)])


def size_px(value: Any, what: str, where: str) -> int | None:
    """A side of an image; None where it is missing or 0, which some tools write for "unknown"."""
    if value is None or value == "":
        return None
    size = number(value, what, where)
    if size != int(size) or not 0 <= size <= MAX_SIZE_PX:
        raise InputError(f"{where}: {what} must be a number of pixels. Received {shown(value)}.")
    return int(size) or None


def stated_size(width: Any, height: Any, where: str) -> tuple[int | None, int | None]:
    """Width and height of an image, both or neither."""
    sides = size_px(width, "the image's width", where), size_px(height, "the image's height", where)
    return sides if None not in sides else (None, None)


def entries(value: Any, what: str, where: str) -> list:
    """A list that is not empty."""
    if not isinstance(value, list) or not value:
        raise InputError(f"{where}: {what} must be a list that is not empty. Received {shown(value)}.")
    return value


def items(document: dict, key: str, where: str) -> list[dict]:
    """The list of objects under `key`; an empty one where the key is missing or null."""
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InputError(f"{where}: {key} must be a list of objects. Received {shown(value)}.")
    return value


def text(value: Any, what: str, where: str) -> str:
    """A text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: {what} must be a text that is not empty. Received {shown(value)}.")
    return value
