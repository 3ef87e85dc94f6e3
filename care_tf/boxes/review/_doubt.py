"""How much an image's boxes deserve a look: what made them says so, or else their geometry."""

import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from care_tf.box_geometry import box_areas, union_mask
from care_tf.csv_files import table_rows
from care_tf.errors import InputError

_COLUMNS = ("image", "status", "doubt", "message")
_NO_BOX = 1.0
_SEVERAL_BOXES = 0.6
_ODD_AREA = 0.7
_TOUCHES_BORDER = 0.4
_SMALL_FRACTION, _LARGE_FRACTION = 0.01, 0.8
_GRID = 64  # the covered area is counted on a grid of this many cells a side


class Doubt(NamedTuple):
    """`value` in [0, 1], 1 for the most doubtful; `reason` in words, "" where there is none."""

    value: float
    reason: str


def geometric_doubt(boxes: np.ndarray, width: float, height: float) -> Doubt:
    """Judges boxes by their shape alone.

    value = 1 - prod over findings of (1 - weight): no box 1, area under 1 % or over 80 % of the image 0.7, several
    boxes 0.6, a box that touches the border 0.4.

    Args:
      boxes: float32 (k,4) half-open pixel boxes x0,y0,x1,y1.
      width, height: The image's, px.

    Example:
      >>> geometric_doubt(np.array([[0, 40, 50, 90]], np.float32), 200, 150)
      Doubt(value=0.4, reason='touches the border')
    """
    if not len(boxes):
        return Doubt(_NO_BOX, "no box")
    findings = []
    covered = union_mask(boxes * (_GRID / np.array([width, height, width, height])), _GRID, _GRID).mean()
    if box_areas(boxes).sum() < _SMALL_FRACTION * width * height:
        findings.append((_ODD_AREA, "very small"))
    if covered > _LARGE_FRACTION:
        findings.append((_ODD_AREA, "very large"))
    if len(boxes) > 1:
        findings.append((_SEVERAL_BOXES, f"{len(boxes)} boxes"))
    if (boxes[:, :2] <= 0).any() or (boxes[:, 2] >= width).any() or (boxes[:, 3] >= height).any():
        findings.append((_TOUCHES_BORDER, "touches the border"))
    value = 1 - math.prod(1 - weight for weight, _ in findings)
    return Doubt(round(value, 6), ", ".join(reason for _, reason in findings))


def read_details(path: str | os.PathLike) -> dict[str, Doubt]:
    """Reads what the maker of the boxes thought of them.

    Columns: `image` (path, relative to the CSV), `status` ("boxes", "no box" or "failed"), `doubt` (0 to 1; empty
    where there is none, which is 1 unless the status is "boxes") and `message`; others are not needed here.

    Returns:
      Absolute image path -> doubt; an image with boxes but without a doubt is left out.
    """
    path = Path(path)
    doubts = {}
    for line, row in table_rows(path, _COLUMNS):
        doubt = _doubt_of(row, f"{path}, line {line}")
        if doubt is not None:
            doubts[os.path.normpath(path.absolute().parent / row["image"])] = doubt
    return doubts


def _doubt_of(row: dict[str, str], where: str) -> Doubt | None:
    status, text, message = row["status"], row["doubt"], row["message"]
    reason = message or ("" if status == "boxes" else status)
    if not text:
        return None if status == "boxes" else Doubt(_NO_BOX, reason)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise InputError(f"{where}: doubt must be a number from 0 to 1. Received {text!r}.")
    return Doubt(value, reason)
