"""Made and true boxes of the same images, side by side: which images can be judged, and how each one came out."""

import dataclasses
import os
from collections.abc import Iterable, Sequence
from os.path import realpath
from pathlib import Path
from typing import Any

import numpy as np

from care_tf.box_geometry import tight_box_in_image
from care_tf.boxes.judging._box_overlap import best_box_iou, box_coverage, mask_coverage, union_iou
from care_tf.data.groups import own_groups
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError
from care_tf.images.header import read_image_header
from care_tf.images.pixels import read_mask
from care_tf.problems import listed


@dataclasses.dataclass(frozen=True)
class JudgedImage:
    """The made boxes of one image against its true ones; all figures in [0,1].

    Args:
      path: The image.
      class_name: Its true class.
      group: Its patient or lesion.
      fold: Its fold, "" where it has none.
      size: Width and height, px.
      made: float32 (k,4), empty where nothing was made.
      true: float32 (n,4); of a mask, the tight box around it.
      iou: Of what the boxes cover together; 0 without a made box.
      best_box_iou: Of the two boxes that agree best.
      coverage: Share of the true boxes inside the made ones.
      mask_coverage: Share of the true mask inside the made boxes; None where the truth is boxes.
      max_pixel_value: The truth's, as of `Manifest`.
    """

    path: str
    class_name: str
    group: str
    fold: str
    size: tuple[int, int]
    made: np.ndarray
    true: np.ndarray
    iou: float
    best_box_iou: float
    coverage: float
    mask_coverage: float | None
    max_pixel_value: int | None = None


def judged_images(
    truth: Manifest,
    made: Sequence[Manifest],
    *,
    classes: Sequence[str] | None = None,
    folds: Iterable[str | int] | None = None,
    only_shared: bool = False,
) -> tuple[dict[str, tuple[JudgedImage, ...]], tuple[str, ...]]:
    """Judges every image whose true boxes or mask are known. Arguments and errors as of `judge_boxes`.

    Returns:
      Method -> its images, the same ones in the same order for every method; and what was left out, in words.
    """
    chosen, not_judged = _with_truth(truth, classes, folds)
    # A file is the same however its path is written.
    rows_of = [{realpath(path): row for row, path in enumerate(manifest.image_paths)} for manifest in made]
    chosen, missing = _shared(chosen, made, rows_of, only_shared)
    unknown = _unknown_to_truth(truth, made, rows_of)
    truths = [_true_boxes(chosen, row) for row in range(len(chosen))]
    groups = own_groups(chosen.groups)
    images: dict[str, tuple[JudgedImage, ...]] = {}
    for name, manifest, rows in zip(_method_names(made, rows_of, chosen), made, rows_of, strict=True):
        images[name] = tuple(
            _judged(chosen, row, groups[row], truths[row], _boxes_of(manifest, rows[realpath(path)], truths[row][0]))
            for row, path in enumerate(chosen.image_paths)
        )
    return images, (*not_judged, *missing, *unknown)


def overlaps(made: np.ndarray, true: np.ndarray) -> dict[str, Any]:
    """The figures of a `JudgedImage` that boxes alone give: made (k,4) and true (n,4) boxes."""
    return {
        "iou": union_iou(made, true),
        "best_box_iou": best_box_iou(made, true),
        "coverage": box_coverage(made, true),
    }


def _with_truth(
    truth: Manifest, classes: Sequence[str] | None, folds: Iterable[str | int] | None
) -> tuple[Manifest, list[str]]:
    """The images of the classes and folds that have a true box or mask, and what was left out."""
    selected = truth.select(folds=folds)
    if classes is not None:
        unknown = [name for name in classes if name not in truth.class_names]
        if unknown or not classes:
            raise InputError(
                f"{truth.source} has no class {', '.join(unknown) or 'of an empty list'}; "
                f"it has {', '.join(truth.class_names)}."
            )
        selected = selected.subset(np.isin(selected.labels, [truth.class_names.index(name) for name in classes]))
    has_truth = selected.has_boxes
    wanted = "" if classes is None else f" of class {', '.join(classes)}"
    if not has_truth.any():
        raise InputError(f"No image{wanted} in {truth.source} has a true box or mask in the chosen folds.")
    not_judged = []
    if classes is not None and not has_truth.all():
        not_judged.append(
            f"{(~has_truth).sum()} images{wanted} without a true box or mask in {Path(truth.source).name}"
        )
    return selected.subset(has_truth), not_judged


def _shared(
    chosen: Manifest, made: Sequence[Manifest], rows_of: Sequence[dict[str, int]], only_shared: bool
) -> tuple[Manifest, list[str]]:
    """The chosen images that every manifest has; refuses the others unless they may be left out."""
    is_shared, notes = np.ones(len(chosen), bool), []
    for manifest, rows in zip(made, rows_of, strict=True):
        is_there = np.array([realpath(path) in rows for path in chosen.image_paths], bool)
        if is_there.all():
            continue
        absent = [os.path.basename(path) for path, there in zip(chosen.image_paths, is_there, strict=True) if not there]
        names = listed(absent, ", ")
        if not only_shared:
            raise InputError(
                f"{manifest.source} lacks {len(absent)} of the {len(chosen)} images with true boxes: {names}. Judge "
                "classes and folds that it has, or only the images that all files share."
            )
        notes.append(f"{len(absent)} images that {Path(manifest.source).name} lacks: {names}")
        is_shared &= is_there
    if not is_shared.any():
        raise InputError(
            f"No image with a true box in {chosen.source} is in every file to judge; images are matched by their path."
        )
    return chosen.subset(is_shared), notes


def _unknown_to_truth(truth: Manifest, made: Sequence[Manifest], rows_of: Sequence[dict[str, int]]) -> list[str]:
    known = {realpath(path) for path in truth.image_paths}
    notes = []
    for manifest, rows in zip(made, rows_of, strict=True):
        num_unknown = len(rows.keys() - known)
        if num_unknown:
            notes.append(f"{num_unknown} images of {Path(manifest.source).name} that the truth does not have")
    return notes


def _method_names(made: Sequence[Manifest], rows_of: Sequence[dict[str, int]], chosen: Manifest) -> list[str]:
    """The only box source of the judged images, else the file's name; with a number where two are alike."""
    names: list[str] = []
    for manifest, rows in zip(made, rows_of, strict=True):
        sources = {manifest.box_sources[rows[realpath(path)]] for path in chosen.image_paths} - {""}
        name = sources.pop() if len(sources) == 1 else Path(manifest.source).stem
        if name in names and Path(manifest.source).stem not in names:
            name = Path(manifest.source).stem
        alternatives = [name, *(f"{name} ({number})" for number in range(2, len(made) + 2))]
        names.append(next(alternative for alternative in alternatives if alternative not in names))
    return names


_Truth = tuple[tuple[int, int], np.ndarray, np.ndarray | None]


def _true_boxes(chosen: Manifest, row: int) -> _Truth:
    """Image size, true boxes and the true mask, None where the truth is boxes."""
    header = read_image_header(chosen.image_paths[row])
    size = (header.width, header.height)
    if not chosen.mask_paths[row]:
        return size, chosen.boxes[row], None
    mask = read_mask(chosen.mask_paths[row])
    if not mask.any():
        raise InputError(f"The true mask {chosen.mask_paths[row]} marks nothing; correct it, or leave the image out.")
    return size, tight_box_in_image(mask, *size), mask


def _boxes_of(manifest: Manifest, row: int, size: tuple[int, int]) -> np.ndarray:
    mask_path = manifest.mask_paths[row]
    return tight_box_in_image(read_mask(mask_path), *size) if mask_path else manifest.boxes[row]


def _judged(chosen: Manifest, row: int, group: str, truth: _Truth, made: np.ndarray) -> JudgedImage:
    size, true, mask = truth
    return JudgedImage(
        path=chosen.image_paths[row],
        class_name=chosen.class_names[chosen.labels[row]],
        group=group,
        fold=chosen.folds[row],
        size=size,
        made=made,
        true=true,
        mask_coverage=None if mask is None else mask_coverage(made, mask, *size),
        max_pixel_value=chosen.max_pixel_value,
        **overlaps(made, true),
    )
