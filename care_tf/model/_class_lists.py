"""Which classes labels stand for: a label is a position in a list, and the lists of training and test must be equal."""

from collections.abc import Sequence
from typing import Any

from care_tf.errors import InputError


def class_names_of(data: Any) -> tuple[str, ...] | None:
    """The class list that a data set carries as `class_names`: care_tf's do, and Keras's of a folder; None: unknown."""
    names = getattr(data, "class_names", None)
    return tuple(map(str, names)) if isinstance(names, list | tuple) and names else None


def check_class_list(names: Sequence[str] | None, known: Sequence[str] | None, num_classes: int | None) -> None:
    """Refuses data whose labels mean other classes than the model's outputs.

    Args:
      names: The class list of data to evaluate on; None where it is unknown: nothing is checked.
      known: That of the training data; None where it is unknown: the number of classes is checked alone.
      num_classes: Of the model; None where it is unknown.

    Raises:
      InputError: The lists differ, or one has another number of classes than the model.
    """
    if names is None or (known is not None and tuple(names) == tuple(known)):
        return
    if known is None and num_classes in (None, len(names)):
        return
    trained = ", ".join(known) if known is not None else f"a model of {num_classes} classes"
    raise InputError(
        "A label is a position in a list of classes, which must be the same in training and evaluation. Received "
        f"{', '.join(names)} for {trained}. Read the manifest with read_manifest(..., like=TRAINING_MANIFEST)."
    )
