"""A trap made with a brush: a mark is drawn into the images of some classes, never inside a box."""

import dataclasses
import functools
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from care_tf.box_geometry import tight_box_in_image, union_mask
from care_tf.data.groups import own_groups
from care_tf.data.manifest import Manifest
from care_tf.data.noted_columns import CUE, PAIR
from care_tf.datasets.traps._lesion_deal import agreeing_at_share, check_every_class, deal_lesions, most_images
from care_tf.datasets.traps._marks import MARKS, Paint, mark_paint, painted
from care_tf.datasets.traps._sides import (
    NO_CUE,
    TEST_BALANCED,
    TEST_CLEAN,
    TEST_REVERSED,
    TRAIN,
    VALIDATION,
    check_share,
    two_sides,
)
from care_tf.errors import InputError, did_you_mean
from care_tf.file_work import for_each_file
from care_tf.images.header import read_image_header
from care_tf.images.pixels import read_image, read_mask

_TEST = "test"
_EIGHTHS = {TRAIN: 5, VALIDATION: 1, _TEST: 2}


class _View(NamedTuple):
    """One image to write: which row, in which split, and whether with the mark."""

    row: int
    split: str
    has_mark: bool
    pair: str


def drawn_trap(
    manifest: Manifest,
    mark: str,
    folder: str | os.PathLike,
    *,
    positive: Sequence[str],
    negative: Sequence[str] | None = None,
    joined: Sequence[str] | None = None,
    share: float = 1.0,
    max_images: int | None = None,
    seed: int = 0,
) -> Manifest:
    """Draws a mark that goes with some classes in training, and writes all images, marked or not, in the same way.

    Every image is decoded and written as PNG: lossless, so that an image with and without the mark differ in the mark's
    pixels alone, and that its format tells nothing. Lesions are dealt, each whole, to training, validation and tests.
    Mark and class agree where an image of a positive class has the mark, or one of another class has not.

    - `train` and `val`: of every class exactly `share` of the images agree, rounded to whole images.
    - `test_clean`: no image has the mark.
    - `test_balanced`: every test image, once with the mark and once without; `pair` names the two.
    - `test_reversed`: positive classes without the mark, the others with it.

    An image whose boxes leave no room for the mark is left out, whatever its class. In one without boxes the mark may
    lie anywhere.

    Args:
      manifest: Images with boxes or masks, and their lesions or patients as groups.
      mark: A name in `MARKS`.
      folder: Where the images go, in a folder for every split.
      positive, negative, joined, share, max_images, seed: As in `observed_trap`.

    Returns:
      The images written, with the splits, and in `inputs` the columns `cue` (the mark's name or "none") and `pair`.

    Raises:
      InputError: A number is out of range, a class or mark is unknown, or images cannot be read.
    """
    check_share(share, seed, max_images)
    if mark not in MARKS:
        raise InputError(f"A mark must be one of {', '.join(MARKS)}. Received {mark}.{did_you_mean(mark, MARKS)}")
    rows, is_positive = two_sides(dataclasses.replace(manifest, folds=(), splits=()), positive, negative, joined)
    _warn_of_images_without_box(rows)
    draw = functools.partial(_mark_of, rows, mark, seed)
    has_room = _has_room(rows, draw)
    names = np.array(rows.class_names)[rows.labels].tolist()
    parts = deal_lesions(names, rows.groups, _EIGHTHS, seed)
    members_of = {part: np.flatnonzero((parts == part) & has_room) for part in _EIGHTHS}
    for part, members in members_of.items():
        check_every_class(rows, members, part, "boxes leave no room for the mark. Add images, or take another mark")
    random = np.random.default_rng(seed)
    views: list[_View] = []
    for split in (TRAIN, VALIDATION):
        most = most_images(max_images, _EIGHTHS, TRAIN, split)
        members = _capped(members_of[split], rows.labels, most, random)
        has_mark = agreeing_at_share(rows.labels[members], share, random) == is_positive[members]
        views += [_View(row, split, bool(own), "") for row, own in zip(members.tolist(), has_mark, strict=True)]
    views += _test_views(members_of[_TEST].tolist(), is_positive, rows.image_paths)
    return _written(rows, views, mark, draw, Path(folder))


def _warn_of_images_without_box(rows: Manifest) -> None:
    bare = sum(not mask and not len(boxes) for mask, boxes in zip(rows.mask_paths, rows.boxes, strict=True))
    if bare:
        warnings.warn(
            f"{bare} of {len(rows)} images have neither boxes nor a mask, so a mark may cover their lesions. Give "
            "every image a box to compare classes.",
            UserWarning,
            stacklevel=3,
        )


def _mark_of(rows: Manifest, mark: str, seed: int, row: int) -> Paint | None:
    """The mark of an image, the same in every split."""
    return mark_paint(mark, _subject(rows, row), np.random.default_rng([seed, row]))


def _has_room(rows: Manifest, draw: Callable[[int], Paint | None]) -> np.ndarray:
    """bool (n,), of every image, used or not: what is left out must not depend on whether it gets the mark."""
    found = for_each_file(
        lambda row: draw(row) is not None,
        range(len(rows)),
        where=rows.source,
        progress="looking for room",
        unit="image",
    )
    return np.array(found, bool)


def _subject(rows: Manifest, row: int) -> np.ndarray:
    """bool (H,W): the pixels of an image's boxes, or of the tight box of its mask."""
    header = read_image_header(rows.image_paths[row])
    boxes = rows.boxes[row]
    if rows.mask_paths[row]:
        boxes = tight_box_in_image(read_mask(rows.mask_paths[row]), header.width, header.height)
    # Whole pixels: one that a box covers in part is kept, too.
    outward = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1)
    return union_mask(outward, header.height, header.width)


def _capped(members: np.ndarray, labels: np.ndarray, most: int | None, random: np.random.Generator) -> np.ndarray:
    """At most so many of every class, sorted."""
    shuffled = random.permutation(members)
    kept = [shuffled[labels[shuffled] == label][:most] for label in np.unique(labels)]
    return np.sort(np.concatenate(kept))


def _test_views(members: Sequence[int], is_positive: np.ndarray, paths: Sequence[str]) -> list[_View]:
    pairs = {row: f"{row}_{Path(paths[row]).stem}" for row in members}
    return [
        *(_View(row, TEST_CLEAN, False, "") for row in members),
        *(_View(row, TEST_BALANCED, has_mark, pairs[row]) for row in members for has_mark in (False, True)),
        *(_View(row, TEST_REVERSED, not is_positive[row], "") for row in members),
    ]


def _written(
    rows: Manifest, views: Sequence[_View], mark: str, draw: Callable[[int], Paint | None], folder: Path
) -> Manifest:
    """Writes the images and lists them."""
    of_row: dict[int, list[int]] = {}
    for number, view in enumerate(views):
        of_row.setdefault(view.row, []).append(number)
    paths = [_path(folder, view, rows.image_paths[view.row]) for view in views]
    for split in {view.split for view in views}:
        (folder / split).mkdir(parents=True, exist_ok=True)

    def write(row: int) -> None:
        image, paint = read_image(rows.image_paths[row], rows.max_pixel_value), draw(row)
        assert paint is not None  # rows without room have no views
        contents = {False: _png(image), True: _png(painted(image, paint))}
        for number in of_row[row]:
            paths[number].write_bytes(contents[views[number].has_mark])

    for_each_file(write, list(of_row), where=rows.source, progress="writing images", unit="image")
    return _listed(rows, views, mark, paths)


def _listed(rows: Manifest, views: Sequence[_View], mark: str, paths: Sequence[Path]) -> Manifest:
    def column(values: Sequence[str]) -> tuple[str, ...]:
        return tuple(values[view.row] for view in views)

    chosen = np.array([view.row for view in views], np.int64)
    return Manifest(
        image_paths=tuple(map(str, paths)),
        labels=rows.labels[chosen],
        class_names=rows.class_names,
        boxes=rows.flat_boxes.take(chosen),
        mask_paths=column(rows.mask_paths),
        groups=column(own_groups(rows.groups)),  # the views of one image belong together, whoever's it is
        splits=tuple(view.split for view in views),
        box_sources=column(rows.box_sources),
        inputs={
            CUE: tuple(mark if view.has_mark else NO_CUE for view in views),
            PAIR: tuple(view.pair for view in views),
        },
        source=rows.source,
    )


def _path(folder: Path, view: _View, path: str) -> Path:
    """The number keeps images of one name in several folders apart."""
    marked = "_marked" if view.has_mark else ""
    return (folder / view.split / f"{view.row}_{Path(path).stem}{marked}.png").absolute()


def _png(image: np.ndarray) -> bytes:
    import cv2

    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()
