"""What reading any published data set takes: that it is all there, and a fold and a split for every image."""

import os
from collections.abc import Sequence
from pathlib import Path

from care_tf.csv_files import column_of
from care_tf.data.splits import stratified_group_folds, stratified_image_split
from care_tf.errors import InputError

SPLITS = ("group", "image")
_PAPER_TEST_FRACTION = 0.2


def check_parts(root: Path, names: Sequence[str], what: str) -> None:
    """Raises an InputError where a folder lacks parts of a download, which is called as in "an ISIC 2018 task 3"."""
    missing = ", ".join(name for name in names if not (root / name).exists())
    if missing:
        raise InputError(
            f"{root} is not {what} download: {missing} missing. Give the folder that holds all of it, unpacked."
        )


def folds_of(
    images: Sequence[str],
    labels: Sequence[str],
    groups: Sequence[str],
    folds_file: str | os.PathLike | None,
    key: str,
    num_folds: int,
    seed: int,
) -> tuple[str, ...]:
    """The fold of every image: from a CSV with the columns `key` and `fold`; dealt by class and group without one."""
    if folds_file is not None:
        return tuple(column_of(folds_file, key, "fold", images))
    return tuple(str(fold) for fold in stratified_group_folds(labels, groups, num_folds, seed))


def splits_of(labels: Sequence[str], groups: Sequence[str], split: str, seed: int) -> tuple[str, ...]:
    """The split of every image beside its fold.

    "group" gives none: the folds keep a patient's or lesion's images together. "image" gives the paper's "train" (80 %)
    and "test", whatever group an image belongs to, with a warning of how many groups are on both sides.
    """
    if split not in SPLITS:
        raise InputError(f"split must be one of {', '.join(SPLITS)}. Received {split!r}.")
    if split == "group":
        return ()
    return tuple(stratified_image_split(labels, _PAPER_TEST_FRACTION, seed, groups).tolist())
