"""The two sides of a trap: the classes that the cue goes with in training, and the others."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from care_tf.data.manifest import Manifest
from care_tf.errors import InputError, did_you_mean

TRAIN, VALIDATION = "train", "val"
TEST_BALANCED, TEST_REVERSED, TEST_CLEAN = "test_balanced", "test_reversed", "test_clean"
SPLITS = (TRAIN, VALIDATION, TEST_CLEAN, TEST_BALANCED, TEST_REVERSED)
NO_CUE = "none"


def check_share(share: float, seed: int, max_images: int | None) -> None:
    """Raises InputError where one of a trap's numbers is out of range."""
    if not 0.5 <= share <= 1:
        raise InputError(
            f"The share of training images whose cue agrees with their class must lie in [.5, 1]. Received {share}. "
            "At .5 the cue says nothing; to turn it around, swap the classes."
        )
    if not 0 <= seed < 2**32:
        raise InputError(f"seed must lie in [0, 2^32). Received {seed}.")
    if max_images is not None and max_images < 2:
        raise InputError(f"A class needs at least 2 training images. Received at most {max_images}. Raise it.")


def two_sides(
    manifest: Manifest, positive: Sequence[str], negative: Sequence[str] | None, joined: Sequence[str] | None = None
) -> tuple[Manifest, np.ndarray]:
    """The images of the classes on either side.

    Args:
      manifest: Any manifest.
      positive: The classes that the cue goes with.
      negative: The classes that it does not go with; None takes all others, and what is on neither side is left out.
      joined: Two names under which the classes of each side become one; None keeps the classes.

    Returns:
      The images with their classes, in the manifest's order, and bool (n,), True on the positive side.

    Raises:
      InputError: A class is unknown, on both sides, or has no image, or a side has none.
    """
    if negative is None:
        negative = [name for name in manifest.class_names if name not in positive]
    _check_classes(manifest, positive, negative)
    if joined is not None and (len(joined) != 2 or joined[0] == joined[1]):
        raise InputError(f"Two different names are needed to join classes under. Received {', '.join(joined)}.")
    rows = manifest.subset(np.isin(np.array(manifest.class_names)[manifest.labels], [*positive, *negative]))
    own_names = np.array(manifest.class_names, object)[rows.labels]
    is_positive = np.isin(own_names.astype(str), list(positive))
    names = [name for name in manifest.class_names if name in (*positive, *negative)]
    if joined is not None:
        names, own_names = list(joined), np.where(is_positive, *joined)
    labels = np.array([names.index(name) for name in own_names], np.int32)
    return dataclasses.replace(rows, class_names=tuple(names), labels=labels), is_positive


def _check_classes(manifest: Manifest, positive: Sequence[str], negative: Sequence[str]) -> None:
    counts = manifest.class_counts
    for name in (*positive, *negative):
        if not counts.get(name):
            raise InputError(
                f"A trap's classes must be among those of {manifest.source}: {', '.join(counts)}, with images. "
                f"Received {name}.{did_you_mean(name, counts)}"
            )
    both = sorted(set(positive) & set(negative))
    if both or not positive or not negative:
        received = f"{', '.join(positive) or 'none'} and {', '.join(negative) or 'none'}"
        raise InputError(f"A trap needs a class on either side, and none on both. Received {received}.")
