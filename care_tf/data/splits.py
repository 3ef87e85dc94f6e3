"""Splits that keep class shares, and keep the images of one patient or lesion together."""

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from care_tf.data.groups import SORTED_FIRST, own_groups
from care_tf.errors import InputError
from care_tf.extras import require_extra


def stratified_group_folds(labels: npt.ArrayLike, groups: Sequence[str], num_folds: int, seed: int = 0) -> np.ndarray:
    """Deals the images to folds: a group is never split, and every class is spread evenly.

    Args:
      labels: (n,), class numbers 0, 1, ... or class names.
      groups: n patients or lesions; "" is a group of its own.
      num_folds: At least 2.
      seed: Of the deal.

    Returns:
      int64 (n,): the fold of every image, 1..num_folds.

    Raises:
      InputError: Fewer than two classes or folds, or a class with fewer groups than folds.
    """
    labels = _checked_labels(labels)
    group_ids = _group_ids(groups, len(labels))
    if num_folds < 2:
        raise InputError(f"The number of folds must be at least 2. Received {num_folds}.")
    for label in np.unique(labels):
        num_groups = len(np.unique(group_ids[labels == label]))
        if num_groups < num_folds:
            raise InputError(
                f"Class {label} has {num_groups} groups, fewer than {num_folds} folds: some fold would have none of "
                "it. Ask for fewer folds."
            )
    require_extra("Dealing images to folds", "runs", "sklearn")
    from sklearn.model_selection import StratifiedGroupKFold

    folds = np.zeros(len(labels), np.int64)
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    for number, (_, chosen) in enumerate(splitter.split(labels, labels, group_ids), start=1):
        folds[chosen] = number
    return folds


def stratified_image_split(
    labels: npt.ArrayLike, test_fraction: float, seed: int = 0, groups: Sequence[str] | None = None
) -> np.ndarray:
    """Splits images into "train" and "test" with equal class shares, whatever group they belong to.

    The paper's split. When a lesion has several images, some land on both sides and the test figures are too good:
    use `stratified_group_folds` for anything but a comparison with the paper.

    Args:
      labels: (n,), class numbers 0, 1, ... or class names.
      test_fraction: Share of every class that goes to "test", between 0 and 1; 0.2 in the paper.
      seed: Of the draw.
      groups: n patients or lesions, only to warn about the leak; "" where unknown.

    Returns:
      str (n,): "train" or "test".

    Raises:
      InputError: Fewer than two classes, or a class with no image on one side.

    Source: Zhuang et al. 2023, section 4.1.
    """
    labels = _checked_labels(labels)
    if not 0 < test_fraction < 1:
        raise InputError(f"test_fraction must be between 0 and 1. Received {test_fraction}.")
    random = np.random.default_rng(seed)
    splits = np.full(len(labels), "train")
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        num_test = round(len(members) * test_fraction)
        if num_test in (0, len(members)):
            raise InputError(
                f"Class {label} has {len(members)} images: with a test fraction of {test_fraction:g} one side would "
                "have none of it. Change the fraction or add images."
            )
        splits[members[:num_test]] = "test"
    if groups is not None:
        _warn_of_leak(splits, _group_ids(groups, len(labels)))
    return splits


def _warn_of_leak(splits: np.ndarray, group_ids: np.ndarray) -> None:
    num_torn = len(np.intersect1d(group_ids[splits == "train"], group_ids[splits == "test"]))
    if num_torn:
        warnings.warn(
            f"{num_torn} of {len(np.unique(group_ids))} groups have images in train and in test: this split leaks, so "
            "figures on test will be too good; folds that keep a lesion or patient together do not leak",
            UserWarning,
            stacklevel=3,
        )


def _checked_labels(labels: npt.ArrayLike) -> np.ndarray:
    array = np.asarray(labels)
    present = np.unique(array)
    if array.ndim != 1 or len(present) < 2:
        raise InputError(
            f"A split needs one label per image and at least two classes. Received {len(present)} classes."
        )
    if array.dtype.kind in "iu":
        empty = np.setdiff1d(np.arange(present[-1]), present)
        if len(empty):
            raise InputError(f"Class {empty[0]} has no images. Leave it out of the class list.")
    return array


def _group_ids(groups: Sequence[str], num_images: int) -> np.ndarray:
    """Numbers for group names; every "" gets a number of its own."""
    if len(groups) != num_images:
        raise InputError(f"groups needs one entry per image ({num_images}). Received {len(groups)}.")
    return np.unique(own_groups(groups, SORTED_FIRST), return_inverse=True)[1]
