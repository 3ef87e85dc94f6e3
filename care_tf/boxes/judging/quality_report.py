"""The quality of boxes as files: a row per image, all figures, and a page to look at."""

import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from care_tf.boxes.judging._quality_pictures import MADE_COLOR, TRUE_COLOR, example_images, example_picture, iou_figure
from care_tf.boxes.judging.quality import BEST_CENTERED, GOOD_IOU, BoxQuality, ClassQuality, MethodQuality
from care_tf.csv_files import write_table
from care_tf.evaluation.estimate_text import as_fraction, estimate_text, interval_text
from care_tf.evaluation.page import render_page
from care_tf.evaluation.pictures import BASELINE, RUN
from care_tf.evaluation.scores import Estimate
from care_tf.files import write_json, write_text

_TEMPLATE = Path(__file__).with_name("box_quality.html.j2")
_SHARES = ("iou", "best_box_iou", "coverage", "mask_coverage")
_COLUMNS = ("image", "class", "group", "fold", "method", "num_boxes", *_SHARES)
_TITLES = {
    "mean_iou": "Mean IoU",
    "iou_above_centered": "Above the centered box",
    "share_good": f"IoU at least {GOOD_IOU}",
    "coverage": "Coverage of the true box",
    "mask_coverage": "Coverage of the lesion",
    "share_without_box": "Without a box",
    "mean_iou_with_box": "Mean IoU, images with a box",
}
_signed_fraction = functools.partial(as_fraction, is_signed=True)


def write_box_quality(quality: BoxQuality, folder: str | os.PathLike, *, title: str = "Quality of boxes") -> list[Path]:
    """Writes box_quality.csv, box_quality.json and box_quality.html, each whole or not at all.

    Args:
      quality: What `judge_boxes` found; its images must still be where they were.
      folder: Where to write; created if need be.
      title: Heading of the page.

    Returns:
      The three files.

    Raises:
      InputError: The folder cannot be written, or an image cannot be decoded.
    """
    csv_path, json_path, html_path = (Path(folder) / f"box_quality.{suffix}" for suffix in ("csv", "json", "html"))
    html = render_page(_TEMPLATE, _page(quality, title))
    write_table(csv_path, [_COLUMNS, *_csv_rows(quality, csv_path.absolute().parent)])
    write_json(json_path, quality.to_dict(), indent=2, allow_nan=False)
    write_text(html_path, html)
    return [csv_path, json_path, html_path]


def _csv_rows(quality: BoxQuality, folder: Path) -> Iterator[list[Any]]:
    for method, images in quality.images.items():
        for image in images:
            shares = (getattr(image, name) for name in _SHARES)
            yield [
                Path(os.path.relpath(image.path, folder)).as_posix(),
                *(image.class_name, image.group, image.fold, method, len(image.made)),
                *("" if share is None else f"{share:.6f}" for share in shares),
            ]


def _page(quality: BoxQuality, title: str) -> dict[str, Any]:
    some = next(iter(quality.images.values()))
    figures = [
        name for name in _TITLES if any(m.figures[name].value is not None for c in quality.classes for m in c.methods)
    ]
    return {
        "title": title,
        "colors": {"run": RUN, "baseline": BASELINE, "true": TRUE_COLOR, "made": MADE_COLOR},
        "num_images": len(some),
        "num_groups": len({image.group for image in some}),
        "num_resamples": quality.num_resamples,
        "cards": [_card(own) for own in quality.classes],
        "columns": [_TITLES[name] for name in figures],
        "tables": [_table(own, figures) for own in quality.classes],
        "distribution": iou_figure(quality),
        "sheets": {name: _sheet(images) for name, images in quality.images.items()},
        "not_judged": quality.not_judged,
        "good_iou": GOOD_IOU,
    }


def _card(own: ClassQuality) -> Mapping[str, str]:
    """The best method of a class beside the best centered box."""
    methods = [method for method in own.methods if method.box is None]
    best = max(methods, key=lambda method: method.figures["mean_iou"].value or 0.0)
    centered = next(method for method in own.methods if method.name == BEST_CENTERED)
    note = best.name if len(methods) == 1 else f"{best.name}, the best of {len(methods)} methods"
    difference = best.figures["iou_above_centered"]
    return {
        "title": f"{own.name}, {own.num_images} images",
        "note": f"mean IoU of {note}",
        "value": as_fraction(best.figures["mean_iou"].value),
        "interval": interval_text(best.figures["mean_iou"], as_fraction),
        "baseline": f"{BEST_CENTERED} {as_fraction(centered.figures['mean_iou'].value)}",
        "difference": estimate_text(difference, _signed_fraction),
        "verdict": _verdict(difference),
    }


def _verdict(difference: Estimate) -> str:
    if not difference.excludes_zero:
        return "no difference shown"
    return "better than the centered box" if (difference.value or 0.0) > 0 else "worse than the centered box"


def _table(own: ClassQuality, figures: list[str]) -> Mapping[str, Any]:
    groups = "" if own.num_groups == own.num_images else f" of {own.num_groups} patients or lesions"
    return {
        "title": f"{own.name}: {own.num_images} images{groups}",
        "rows": [
            {
                "name": method.name,
                "note": _note(method),
                "is_reference": method.box is not None,
                "cells": [_cell(method, name) for name in figures],
            }
            for method in own.methods
        ],
    }


def _cell(method: MethodQuality, name: str) -> tuple[str, str]:
    estimate = method.figures[name]
    is_itself = method.name == BEST_CENTERED and name == "iou_above_centered"
    if estimate.value is None or is_itself:
        return ("" if is_itself else "n/a"), ""
    number = _signed_fraction if name == "iou_above_centered" else as_fraction
    return number(estimate.value), interval_text(estimate, number)


def _note(method: MethodQuality) -> str:
    if method.box is None or method.name != BEST_CENTERED:
        return ""
    sides = f"{method.box.width_fraction:.0%} of the width, {method.box.height_fraction:.0%} of the height"
    return f"{sides}; fitted to these true boxes"


def _sheet(images: Any) -> Mapping[str, list[Mapping[str, Any]]]:
    return {
        kind: [
            {
                "picture": example_picture(image),
                "label": image.class_name,
                "name": Path(image.path).stem,
                "iou": as_fraction(image.iou) if len(image.made) else "no box",
            }
            for image in chosen
        ]
        for kind, chosen in example_images(images).items()
    }
