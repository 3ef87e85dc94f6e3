"""The page of `care check`: whether a network goes by the lesion or by what surrounds it."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from care_tf.evaluation._figures import attention_figure
from care_tf.evaluation._lesion_table import lesion_table
from care_tf.evaluation._outside_crops import OutsideCrop, outside_crop
from care_tf.evaluation.cue_verdict import MIN_GROUPS, SMALLEST_EFFECT, CueVerdict
from care_tf.evaluation.headline import as_difference
from care_tf.evaluation.map_overlay import full_size, outlined, overlaid
from care_tf.evaluation.page import render_page
from care_tf.evaluation.pictures import BASELINE, RUN, Picture, jpeg_picture, percent
from care_tf.evaluation.scores import Estimate, Scores
from care_tf.files import write_text

_TEMPLATE = Path(__file__).with_name("cue_page.html.j2")
_LINE_PX = 3


@dataclasses.dataclass(frozen=True)
class CueCheck:
    """What the page shows.

    Attributes:
      name: What the page calls the run.
      class_name: The class that the verdict is about.
      scores: Of the run.
      verdict: Of `cue_verdict`.
      beyond_uniform: The class's attention inside the box, less that of a uniform map.
      curves: Of `insertion_deletion_figure`, or None.
      examples: Images of the class, those with most attention outside first: "name", "image" (H, W, 3) uint8, "mask"
        (H, W), "attention_after" (h, w) and "inside_after", as of `example_card`.
    """

    name: str
    class_name: str
    scores: Scores
    verdict: CueVerdict
    beyond_uniform: Estimate
    curves: Picture | None
    examples: Sequence[Mapping[str, Any]]


def write_cue_page(path: str | os.PathLike, check: CueCheck) -> None:
    """Writes the page; the file needs no network, no other file and no script.

    Args:
      path: The HTML file to write.
      check: What it shows; at least one image was checked.
    """
    values = {
        "title": f"{check.name}: what decides, the lesion or a cue?",
        "class_name": check.class_name,
        "scores": check.scores,
        "verdict": check.verdict,
        "min_groups": MIN_GROUPS,
        "min_points": round(100 * SMALLEST_EFFECT),
        "beyond_uniform": as_difference("attention_inside", check.beyond_uniform),
        "colors": {"run": RUN, "baseline": BASELINE},
        "lesions": lesion_table([("", check.scores)]),
        "attention": attention_figure(check.scores, names=("", check.name)),
        "curves": check.curves,
        "crops": [card for example in check.examples if (card := _crop_card(example)) is not None],
    }
    write_text(path, render_page(_TEMPLATE, values))


def _crop_card(example: Mapping[str, Any]) -> dict[str, Any] | None:
    """The map with the part marked, and the part; None where there is no attention outside."""
    image, mask, name = example["image"], np.asarray(example["mask"]) > 0, example["name"]
    attention = full_size(example["attention_after"], image.shape[:2], name)
    crop = outside_crop(image, attention, mask)
    if crop is None:
        return None
    outside = percent(1.0 - float(example["inside_after"]), 0)
    shown = _marked(outlined(overlaid(image, attention, max(image.shape[:2])), mask), crop)
    return {
        "name": name,
        "outside": outside,
        "map": jpeg_picture(shown, f"{name}: attention map, {outside} outside the box"),
        "part": jpeg_picture(np.ascontiguousarray(crop.pixels), f"{name}: the part with most attention outside"),
    }


def _marked(pixels: np.ndarray, crop: OutsideCrop) -> np.ndarray:
    from PIL import Image, ImageDraw

    drawn = Image.fromarray(pixels)
    last = len(crop.pixels) - 1
    square = (crop.left, crop.top, crop.left + last, crop.top + last)
    ImageDraw.Draw(drawn).rectangle(square, outline=BASELINE, width=_LINE_PX)
    return np.asarray(drawn)
