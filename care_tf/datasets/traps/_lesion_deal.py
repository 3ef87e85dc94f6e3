"""Which lesions go to which part of a trap, and which of their images make its share exact."""

from collections.abc import Mapping, Sequence

import numpy as np

from care_tf.data.groups import own_groups
from care_tf.data.manifest import Manifest
from care_tf.data.splits import stratified_group_folds
from care_tf.errors import InputError


def deal_lesions(kinds: Sequence[str], groups: Sequence[str], parts: Mapping[str, int], seed: int) -> np.ndarray:
    """Deals the images to parts; a lesion is never split, and every kind is spread evenly.

    Args:
      kinds: n kinds of images, such as "MEL with frame".
      groups: n lesions or patients; "" is one of its own.
      parts: Name of a part -> how many of the equal shares that the images are dealt to it takes.
      seed: Of the deal.

    Returns:
      str (n,): the part of every image.

    Raises:
      InputError: A kind has too few lesions for a share each.
    """
    shares = [name for name, number in parts.items() for _ in range(number)]
    own = np.array(own_groups(groups))
    for kind in sorted(set(kinds)):
        num_lesions = len(set(own[np.array(kinds) == kind]))
        if num_lesions < len(shares):
            raise InputError(
                f"A trap needs at least {len(shares)} lesions or patients of each kind, to have some in every part. "
                f"Received {num_lesions} of {kind}. Add images, or choose other classes."
            )
    return np.array(shares)[stratified_group_folds(kinds, groups, len(shares), seed) - 1]


def check_every_class(rows: Manifest, members: np.ndarray, split: str, why: str) -> None:
    """Raises an InputError where a class has no member of a split; `why` says what left none, and what to do."""
    missing = [name for label, name in enumerate(rows.class_names) if not (rows.labels[members] == label).any()]
    if missing:
        raise InputError(
            f"{rows.source}: every split of a trap needs images of every class. Received none of "
            f"{', '.join(missing)} for {split}, where {why}."
        )


def most_images(max_images: int | None, parts: Mapping[str, int], train: str, part: str) -> int | None:
    """The most images of a class in a part, where training has at most `max_images`: in proportion, at least one."""
    return None if max_images is None else max(round(max_images * parts[part] / parts[train]), 1)


def exact_share(
    agrees: np.ndarray, labels: np.ndarray, share: float, max_images: int | None, random: np.random.Generator
) -> np.ndarray:
    """The most images of every class of which exactly a share agrees, rounded to whole images.

    Args:
      agrees: bool (n,), whether the image's cue is the one of its class.
      labels: (n,), class numbers.
      share: In [.5, 1].
      max_images: Of every class; None takes all there are.
      random: Of the choice.

    Returns:
      int (k,): positions, sorted. A class of which too few agree has none.
    """
    chosen = []
    for label in np.unique(labels):
        with_it, without = (random.permutation(np.flatnonzero((labels == label) & (agrees == side))) for side in (1, 0))
        most = len(with_it) / share if share == 1 else min(len(with_it) / share, len(without) / (1 - share))
        number = min(int(most + 1e-9), max_images or len(labels))  # .7 has no exact float
        num_agreeing = round(share * number)
        chosen += [with_it[:num_agreeing], without[: number - num_agreeing]]
    return np.sort(np.concatenate(chosen))


def agreeing_at_share(labels: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """bool (n,): exactly a share of every class, rounded to whole images, drawn at random."""
    agrees = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        agrees[members[: round(share * len(members))]] = True
    return agrees
