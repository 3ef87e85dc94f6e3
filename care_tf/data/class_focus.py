"""Which classes a run is about: the rare ones, and among them those with boxes in training."""

from collections.abc import Collection, Mapping

from care_tf.errors import InputError


def rarest_first(class_counts: Mapping[str, int]) -> list[str]:
    """Class names from the rarest to the most common; equally rare ones in the order given.

    Args:
      class_counts: Class name -> number of images, such as `Manifest.class_counts`.

    Example:
      >>> rarest_first({"NV": 9, "DF": 2, "VASC": 2})
      ['DF', 'VASC', 'NV']
    """
    return sorted(class_counts, key=lambda name: class_counts[name])


def rarest_class(class_counts: Mapping[str, int], present: Mapping[str, int] | None = None) -> str:
    """The class with the fewest images, the first of them.

    Args:
      class_counts: Class name -> number of images, such as those in training; a class that is missing has 0.
      present: Class name -> number of images there, such as those to test on: only classes with some count. None
        takes `class_counts` itself.

    Example:
      >>> rarest_class({"NV": 9, "DF": 2}), rarest_class({"NV": 9, "DF": 2}, present={"NV": 4, "DF": 0})
      ('DF', 'NV')
    """
    present = class_counts if present is None else present
    return rarest_first({name: class_counts.get(name, 0) for name, count in present.items() if count})[0]


def focus_classes(class_counts: Mapping[str, int], with_boxes: Collection[str] = ()) -> list[str]:
    """The classes in focus: those with boxes, the rarest first; without any, the rarest class.

    Args:
      class_counts: Class name -> number of images in training.
      with_boxes: Names of the classes that have boxes in training.

    Example:
      >>> focus_classes({"NV": 9, "DF": 2, "MEL": 5}, ["NV", "MEL"]), focus_classes({"NV": 9, "DF": 2})
      (['MEL', 'NV'], ['DF'])
    """
    order = rarest_first(class_counts)
    return [name for name in order if name in with_boxes] or order[:1]


def check_focus(focus_classes: Collection[str], class_names: Collection[str]) -> None:
    """Raises an InputError where a class in focus is none of the class names."""
    unknown = [name for name in focus_classes if name not in class_names]
    if unknown:
        raise InputError(f"Classes in focus must be among {list(class_names)}. Received: {unknown}.")
