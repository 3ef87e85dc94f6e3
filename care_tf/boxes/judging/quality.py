"""Boxes that somebody or something made, judged against true boxes or masks, class by class."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from care_tf.boxes.judging._box_overlap import CenteredBox, best_fixed_centered_box, centered_box
from care_tf.boxes.judging._judged_images import JudgedImage, judged_images, overlaps
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError
from care_tf.evaluation.bootstrap import group_bootstrap, percentile_interval
from care_tf.evaluation.estimate_text import estimate_text
from care_tf.evaluation.scores import Estimate

GOOD_IOU = 0.5
BEST_CENTERED, WHOLE_IMAGE = "best fixed centered box", "whole image"


@dataclasses.dataclass(frozen=True)
class MethodQuality:
    """The figures of one method on the images of one class.

    Args:
      name: The method.
      figures: Means over images with their 95 % intervals: "mean_iou", an image without a box counting 0;
        "iou_above_centered", its difference to the best fixed centered box on the same images and resamples;
        "share_good", IoU at least 0.5; "coverage"; "mask_coverage"; "share_without_box"; "mean_iou_with_box", over the
        images that have a box.
      box: For a reference, the box it puts on every image; None for a method.
    """

    name: str
    figures: dict[str, Estimate]
    box: CenteredBox | None = None


@dataclasses.dataclass(frozen=True)
class ClassQuality:
    """All methods on the images of one class, the references last."""

    name: str
    num_images: int
    num_groups: int
    methods: tuple[MethodQuality, ...]


@dataclasses.dataclass(frozen=True)
class BoxQuality:
    """What `judge_boxes` found.

    Args:
      classes: Class by class; after several, "all" their images together.
      images: Per method, one entry per judged image, in the truth's order.
      not_judged: What was left out, in words; empty where nothing was.
      num_resamples: Of the bootstrap.
      seed: Of the bootstrap.
    """

    classes: tuple[ClassQuality, ...]
    images: dict[str, tuple[JudgedImage, ...]]
    not_judged: tuple[str, ...]
    num_resamples: int
    seed: int

    def summary(self) -> str:
        """A table to print: per class and method the mean IoU with its interval and what goes with it."""
        width = max(len(method.name) for quality in self.classes for method in quality.methods)
        lines = [f"{'class':<10} {'method':<{width}}  {'mean IoU':<20}  IoU >= {GOOD_IOU}  coverage  no box"]
        for quality in self.classes:
            for method in quality.methods:
                shares = [method.figures[name].value for name in ("share_good", "coverage", "share_without_box")]
                lines.append(
                    f"{quality.name:<10} {method.name:<{width}}  {estimate_text(method.figures['mean_iou']):<20}  "
                    + "  ".join(f"{share:{size}.3f}" for share, size in zip(shares, (10, 8, 6), strict=True))
                )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The figures without the images: a dict that `json.dump` takes."""
        return {
            "classes": [dataclasses.asdict(quality) for quality in self.classes],
            "not_judged": list(self.not_judged),
            "good_iou": GOOD_IOU,
            "num_resamples": self.num_resamples,
            "seed": self.seed,
        }


def judge_boxes(
    truth: Manifest,
    made: Sequence[Manifest],
    *,
    classes: Sequence[str] | None = None,
    folds: Iterable[str | int] | None = None,
    only_shared: bool = False,
    num_resamples: int = 1000,
    seed: int = 0,
) -> BoxQuality:
    """Scores the boxes of one or more manifests on the images whose true boxes or masks are known.

    Images are the same where their paths are. Beside the methods stand, per class, the centered box that suits the true
    boxes best when it is put on every image alike, and the whole image.

    Args:
      truth: The true boxes or masks, classes, groups and folds.
      made: The boxes to judge, one manifest per method; a mask counts as the box around it. A method is called by the
        `box_source` of its images, or by its file's name where they have none or several.
      classes: Only images of these true classes; None: every class with true boxes.
      folds: Only images of these folds of `truth`; None: all.
      only_shared: Leave out images that a manifest of `made` lacks; otherwise they are refused.
      num_resamples: Bootstrap resamples, over groups.
      seed: Of the bootstrap.

    Returns:
      Figures and images.

    Raises:
      InputError: No manifest to judge, an unknown class or fold, no image with a true box, an image with one that a
        manifest lacks, or an empty true mask.
    """
    if not made:
        raise InputError("There is nothing to judge; give at least one manifest with boxes.")
    images, not_judged = judged_images(truth, made, classes=classes, folds=folds, only_shared=only_shared)
    some = next(iter(images.values()))
    order = truth.class_names if classes is None else tuple(dict.fromkeys(classes))
    judged_classes = [name for name in order if any(image.class_name == name for image in some)]
    selections = [(name, {name}) for name in judged_classes]
    if len(judged_classes) > 1:
        selections.append(("all", set(judged_classes)))
    quality = [
        _class_quality(
            name, {m: [i for i in own if i.class_name in members] for m, own in images.items()}, num_resamples, seed
        )
        for name, members in selections
    ]
    return BoxQuality(tuple(quality), images, not_judged, num_resamples, seed)


def placed_images(images: Sequence[JudgedImage], box: CenteredBox) -> list[JudgedImage]:
    """The images judged with one centered box in place of theirs; without `mask_coverage`, for masks are not kept."""
    placed = []
    for image in images:
        made = centered_box(box.width_fraction, box.height_fraction, *image.size)
        placed.append(dataclasses.replace(image, made=made, mask_coverage=None, **overlaps(made, image.true)))
    return placed


def _class_quality(name: str, images: dict[str, list[JudgedImage]], num_resamples: int, seed: int) -> ClassQuality:
    own = next(iter(images.values()))
    fitted = best_fixed_centered_box([image.true for image in own], [image.size for image in own])
    centered = placed_images(own, fitted)
    whole_box = CenteredBox(1.0, 1.0)
    judged: list[tuple[str, list[JudgedImage], CenteredBox | None]] = [
        *((method, judged, None) for method, judged in images.items()),
        (BEST_CENTERED, centered, fitted),
        (WHOLE_IMAGE, placed_images(own, whole_box), whole_box),
    ]
    baseline = np.array([image.iou for image in centered])
    methods = [
        MethodQuality(method, _figures(rows, baseline, num_resamples, seed), box) for method, rows, box in judged
    ]
    return ClassQuality(name, len(own), len({image.group for image in own}), tuple(methods))


def _figures(
    images: Sequence[JudgedImage], centered_iou: np.ndarray, num_resamples: int, seed: int
) -> dict[str, Estimate]:
    iou = np.array([image.iou for image in images])
    has_box = np.array([len(image.made) > 0 for image in images])
    everywhere = np.ones(len(images), bool)
    has_mask = np.array([image.mask_coverage is not None for image in images])
    values = {
        "mean_iou": (iou, everywhere),
        "iou_above_centered": (iou - centered_iou, everywhere),
        "share_good": (iou >= GOOD_IOU, everywhere),
        "coverage": (np.array([image.coverage for image in images]), everywhere),
        "mask_coverage": (np.array([image.mask_coverage or 0.0 for image in images]), has_mask),
        "share_without_box": (~has_box, everywhere),
        "mean_iou_with_box": (iou, has_box),
    }

    def means(weights: np.ndarray) -> dict[str, np.ndarray]:
        with np.errstate(invalid="ignore"):  # 0 / 0 where a resample holds no image that counts: undefined
            return {name: weights @ (value * counts) / (weights @ counts) for name, (value, counts) in values.items()}

    point = means(np.ones((1, len(images))))
    replicates = group_bootstrap(means, [image.group for image in images], num_resamples, seed)
    return {name: _estimate(float(point[name][0]), replicates[name]) for name in values}


def _estimate(value: float, replicates: np.ndarray) -> Estimate:
    if np.isnan(value):
        return Estimate(None, None, None)
    low, high = percentile_interval(replicates)
    return Estimate(value, None, None) if np.isnan(low) else Estimate(value, low, high)
