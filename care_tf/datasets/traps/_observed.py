"""A trap without a changed pixel: a cue that some photographs have is made to go with the class in training."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from care_tf.data.groups import own_groups
from care_tf.data.manifest import Manifest
from care_tf.data.noted_columns import CUE, PAIR
from care_tf.datasets.traps._lesion_deal import check_every_class, deal_lesions, exact_share, most_images
from care_tf.datasets.traps._sides import (
    NO_CUE,
    SPLITS,
    TEST_BALANCED,
    TEST_REVERSED,
    TRAIN,
    VALIDATION,
    check_share,
    two_sides,
)
from care_tf.errors import InputError

_EIGHTHS = {TRAIN: 4, VALIDATION: 1, TEST_BALANCED: 2, TEST_REVERSED: 1}


def observed_trap(
    manifest: Manifest,
    has_cue: Sequence[bool | None],
    *,
    cue: str,
    positive: Sequence[str],
    negative: Sequence[str] | None = None,
    joined: Sequence[str] | None = None,
    share: float = 1.0,
    max_images: int | None = None,
    seed: int = 0,
) -> Manifest:
    """Chooses images so that a cue goes with some classes in training, and in the tests with none or with the others.

    A cue agrees with its image where the image is of a positive class and has it, or of another and has it not. Lesions
    are dealt, each whole, to four splits; each takes of its lesions what it needs, and the rest is left out:

    - `train` and `val`: of every class the most images of which exactly `share` agree.
    - `test_balanced`: of every class as many with the cue as without. Of a lesion with both there is one image of each,
      with the names of the lesion and the class as `pair`; of the others as many as are in both.
    - `test_reversed`: the images that disagree.

    Args:
      manifest: Images with their lesions or patients as groups.
      has_cue: n, whether an image has the cue; None is not clear, and left out.
      cue: What the cue is called.
      positive: The classes that the cue goes with in training.
      negative: The others; None takes all there are.
      joined: Two names under which positive and negative classes become one class each.
      share: Of the images in training and validation that agree, in [.5, 1]; at .5 the cue says nothing.
      max_images: Of every class in training, at most, and in validation in proportion; None takes all that the share
        allows.
      seed: Of the deal and every choice.

    Returns:
      The images chosen, with the splits, and in `inputs` the columns `cue` (its name or "none") and `pair`.

    Raises:
      InputError: A number is out of range, a class is unknown, or a split has no image of a class.
    """
    check_share(share, seed, max_images)
    if len(has_cue) != len(manifest):
        raise InputError(f"has_cue needs one entry per image ({len(manifest)}). Received {len(has_cue)}.")
    is_clear = np.array([each is not None for each in has_cue], bool)
    manifest = dataclasses.replace(manifest, folds=(), splits=(), inputs={CUE: _names(has_cue, cue)})
    rows, is_positive = two_sides(manifest.subset(is_clear), positive, negative, joined)
    shows_cue = np.array(rows.inputs[CUE]) != NO_CUE
    agrees = is_positive == shows_cue
    kinds = [f"{rows.class_names[label]}, cue {cue}" for label, cue in zip(rows.labels, rows.inputs[CUE], strict=True)]
    parts = deal_lesions(kinds, rows.groups, _EIGHTHS, seed)
    random = np.random.default_rng(seed)
    pairs = [""] * len(rows)
    chosen = {}
    for split in (TRAIN, VALIDATION):
        most = most_images(max_images, _EIGHTHS, TRAIN, split)
        members = np.flatnonzero(parts == split)
        chosen[split] = members[exact_share(agrees[members], rows.labels[members], share, most, random)]
    chosen[TEST_BALANCED] = _balanced(np.flatnonzero(parts == TEST_BALANCED), rows, shows_cue, pairs, random)
    chosen[TEST_REVERSED] = np.flatnonzero((parts == TEST_REVERSED) & ~agrees)
    return _with_splits(rows, chosen, pairs)


def _names(has_cue: Sequence[bool | None], cue: str) -> tuple[str, ...]:
    if not cue or cue == NO_CUE:
        raise InputError(f"A cue needs a name other than {NO_CUE}. Received {cue!r}.")
    return tuple(cue if each else NO_CUE for each in has_cue)


def _balanced(
    members: np.ndarray, rows: Manifest, shows_cue: np.ndarray, pairs: list[str], random: np.random.Generator
) -> np.ndarray:
    """Positions with the cue and as many without, class by class; names the pairs among them."""
    chosen: list[int] = []
    groups = own_groups(rows.groups)
    for label, class_name in enumerate(rows.class_names):
        # One image of a lesion with the cue and one without are enough; which ones is a matter of chance.
        sides: tuple[dict[str, int], dict[str, int]] = ({}, {})
        for row in random.permutation(members[rows.labels[members] == label]).tolist():
            sides[int(shows_cue[row])].setdefault(groups[row], row)
        for group in [group for group in sides[0] if group in sides[1]]:
            for side in sides:
                pairs[side[group]] = f"{group}, {class_name}"  # a patient may have images of several classes
                chosen.append(side.pop(group))
        number = min(map(len, sides))
        chosen += [row for side in sides for row in list(side.values())[:number]]
    return np.array(chosen, np.int64)


def _with_splits(rows: Manifest, chosen: dict[str, np.ndarray], pairs: list[str]) -> Manifest:
    """The rows chosen, split by split in the order of the rows; refuses a split that lacks a class."""
    for split, members in chosen.items():
        check_every_class(rows, members, split, "the cue and the share leave none. Add images, or change them")
    names = sorted(chosen, key=SPLITS.index)
    order = np.concatenate([np.sort(chosen[name]) for name in names])
    splits = tuple(name for name in names for _ in chosen[name])
    own = tuple(pairs[row] for row in order.tolist())
    result = rows.subset(order)
    return dataclasses.replace(result, splits=splits, inputs={**result.inputs, PAIR: own})
