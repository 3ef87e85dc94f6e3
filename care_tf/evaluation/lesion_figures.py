"""What a network's outputs say of the lesion's part in them: figures of images whose lesion was hidden."""

import hashlib
import os
from collections.abc import Mapping, Sequence

import numpy as np

LESION_COLUMNS = (
    "probability_lesion_hidden",
    "right_lesion_hidden",
    "probability_rest_hidden",
    "right_rest_hidden",
    "insertion_area",
    "deletion_area",
)
"""What is kept of every image: the true class's probability, whether the call is right (0 or 1), areas under curves.

Another way to hide must get columns of other names: what was predicted before is then not taken for its figures."""
LESION_FIGURES = {
    "right_checked": "Recall, same images",
    "right_without_lesion": "Recall, no lesion",
    "right_lesion_only": "Recall, lesion only",
    "drop_without_lesion": "Drop, no lesion",
    "drop_lesion_only": "Drop, lesion only",
    "lesion_reliance": "Lesion reliance",
    "insertion_area": "Insertion",
    "deletion_area": "Deletion",
}
"""Figure of a class -> its title."""

_RIGHT = {"without_lesion": "lesion_hidden", "lesion_only": "rest_hidden"}

LesionColumns = Mapping[str, np.ndarray]
"""Some of `LESION_COLUMNS` -> (n,) in [0, 1]; NaN where an image was not checked."""


def lesion_figures(labels: np.ndarray, probabilities: np.ndarray, columns: LesionColumns) -> dict[str, np.ndarray]:
    """The figures of every image; those of a class are means over its images.

        drop             = p - p',   p the probability of the true class, p' that with a part hidden
        lesion reliance  = |p - p(without lesion)| - |p - p(lesion only)|

    Reliance is positive where the lesion moves the output more than all around it does, negative where what is around
    it does; in [-1, 1]. It counts changes up and down: what misleads a network lowers its probability.

    Args:
      labels: (n,) int.
      probabilities: (n, C), of the images as they are.
      columns: Of the images with parts hidden.

    Returns:
      A key for each of `LESION_FIGURES`: (n,) float64, NaN where an image was not checked.
    """
    known = {name: np.asarray(columns.get(name, np.full(len(labels), np.nan)), np.float64) for name in LESION_COLUMNS}
    without, only = known.pop("probability_lesion_hidden"), known.pop("probability_rest_hidden")
    own = np.asarray(probabilities, np.float64)[np.arange(len(labels)), labels]
    right = {f"right_{figure}": known.pop(f"right_{hidden}") for figure, hidden in _RIGHT.items()}
    is_right = (np.argmax(probabilities, axis=1) == labels).astype(np.float64)
    return {
        "right_checked": np.where(np.isnan(without), np.nan, is_right),
        "drop_without_lesion": own - without,
        "drop_lesion_only": own - only,
        "lesion_reliance": np.abs(own - without) - np.abs(own - only),
        **right,
        **known,
    }


def known_in_both(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with NaN wherever one of them has it: a difference is over the same images."""
    has_both = ~np.isnan(first) & ~np.isnan(second)
    return np.where(has_both, first, np.nan), np.where(has_both, second, np.nan)


def columns_known_in_both(first: LesionColumns, second: LesionColumns) -> tuple[dict[str, np.ndarray], ...]:
    """`known_in_both` of each column that both have."""
    pairs = {name: known_in_both(first[name], second[name]) for name in first if name in second}
    return {name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()}


def chosen_for_check(
    image_paths: Sequence[str], labels: np.ndarray, is_candidate: np.ndarray, images_per_class: int
) -> np.ndarray:
    """So many images of each class, chosen among the candidates by the hash of their file names.

    The choice depends on neither the order nor the folder, and is the same for every run; it looks like a random one
    even where names are numbered by hospital or date.

    Args:
      image_paths: n.
      labels: (n,) int.
      is_candidate: (n,) bool.
      images_per_class: At most so many of each; 0: none.

    Returns:
      Their positions, int, ascending.
    """
    hashes = [hashlib.sha256(os.path.basename(path).encode()).hexdigest() for path in image_paths]
    taken: dict[int, int] = {}
    chosen = []
    for index in sorted(np.flatnonzero(is_candidate).tolist(), key=lambda i: (hashes[i], image_paths[i])):
        label = int(labels[index])
        if taken.get(label, 0) < images_per_class:
            taken[label] = taken.get(label, 0) + 1
            chosen.append(index)
    return np.array(sorted(chosen), int)
