"""Labels that name no class of the model, told before training where they can be seen, else where TensorFlow fails."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from care_tf.errors import InputError

_OUTSIDE = re.compile(r"label value of (-?\d+) which is outside the valid range of \[0, (\d+)\)")


def counts_classes(loss: Any) -> bool:
    """Whether a compiled loss takes 0 to C - 1 and nothing else; a hinge, or a loss of one's own, may take -1."""
    name = loss if isinstance(loss, str) else type(loss).__name__
    is_known = "crossentropy" in name.lower().replace("_", "") or type(loss).__module__.startswith("care_tf.losses")
    return is_known and (isinstance(loss, str) or loss.get_config().get("ignore_class") is None)


def check_label_range(labels: Any, num_classes: int | None) -> None:
    """Refuses whole numbers that are no class in labels that are in memory.

    Args:
      labels: `y` of `fit` or `evaluate`; what is neither an array nor a list of numbers is not looked at, nor are rows
        of class values, which the training step checks.
      num_classes: C; None where the model does not tell.

    Raises:
      InputError: A label is below 0 or above C - 1; names the first row.
    """
    if num_classes is None or not isinstance(labels, np.ndarray | list | tuple):
        return
    values = np.asarray(labels)
    if values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[1] != 1) or values.dtype.kind not in "iuf":
        return
    outside = np.flatnonzero((values.ravel() < 0) | (values.ravel() > num_classes - 1))
    if len(outside):
        raise _error(values.ravel()[outside[0]], num_classes, f"row {outside[0]}; {len(outside)} rows are such")


@contextlib.contextmanager
def label_range_named(steps_done: Callable[[], int]) -> Iterator[None]:
    """Turns TensorFlow's error about a label outside the classes into a sentence.

    Args:
      steps_done: How many steps have been trained, for the message.

    Raises:
      InputError: The block met such a label.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = _OUTSIDE.search(str(error))
        if found is None:
            raise
        raise _error(found[1], int(found[2]), f"a batch, after {steps_done()} training steps") from error


def _error(label: Any, num_classes: int, where: str) -> InputError:
    return InputError(
        f"A label must be the number of a class, 0 to {num_classes - 1} for a model of {num_classes} classes. Received "
        f"{label} ({where}). Count classes from 0, or build the model for more."
    )
