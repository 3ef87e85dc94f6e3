"""Which images a report's gallery shows: the mistakes that matter most first, and a few right ones of every class."""

from typing import NamedTuple

import numpy as np

from care_tf.data.class_focus import rarest_first

MAX_MISTAKES = 8
"""Images of each kind of mistake."""
MAX_RIGHT_CLASSES = 12


class GalleryChoice(NamedTuple):
    """Images of one kind.

    Attributes:
      title: What they have in common.
      positions: Of the images shown, in order.
      total: How many images there are of the kind.
    """

    title: str
    positions: list[int]
    total: int


def chosen_mistakes(
    labels: np.ndarray, probabilities: np.ndarray, class_names: tuple[str, ...], focus: str
) -> list[GalleryChoice]:
    """Images of the class in focus that were missed, then those falsely called it, then all other mistakes.

    Of each kind the `MAX_MISTAKES` whose predicted class is the most probable.

    Args:
      labels: int (n,).
      probabilities: (n, C).
      class_names: C names.
      focus: The class in focus.

    Returns:
      The kinds that occur.
    """
    predicted, place = probabilities.argmax(axis=1), class_names.index(focus)
    is_wrong = predicted != labels
    kinds = {
        f"{focus}, missed": is_wrong & (labels == place),
        f"Falsely called {focus}": is_wrong & (predicted == place),
        "Other mistakes": is_wrong & (labels != place) & (predicted != place),
    }
    surest_first = np.argsort(-probabilities.max(axis=1), kind="stable")
    found = {title: surest_first[chosen[surest_first]] for title, chosen in kinds.items()}
    return [GalleryChoice(title, all_.tolist()[:MAX_MISTAKES], len(all_)) for title, all_ in found.items() if len(all_)]


def chosen_right(labels: np.ndarray, probabilities: np.ndarray, class_names: tuple[str, ...]) -> list[GalleryChoice]:
    """Of every class, the image that is right with the highest probability, and the one with the lowest.

    Args:
      labels: int (n,).
      probabilities: (n, C).
      class_names: C names.

    Returns:
      The rarest classes first, `MAX_RIGHT_CLASSES` at most; those that no image is right of are left out.
    """
    is_right = probabilities.argmax(axis=1) == labels
    counts = {name: int((labels == index).sum()) for index, name in enumerate(class_names)}
    found = []
    for name in rarest_first(counts):
        own = np.flatnonzero(is_right & (labels == class_names.index(name)))
        own = own[np.argsort(-probabilities[own].max(axis=1), kind="stable")].tolist()
        if own:
            found.append(GalleryChoice(name, own if len(own) < 2 else [own[0], own[-1]], len(own)))
    return found[:MAX_RIGHT_CLASSES]
