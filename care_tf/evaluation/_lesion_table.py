"""Figures of images whose lesion was hidden as rows of a page's table."""

from collections.abc import Sequence
from typing import Any

from care_tf.evaluation.headline import as_interval, as_value
from care_tf.evaluation.lesion_figures import LESION_FIGURES
from care_tf.evaluation.scores import ClassScores, Estimate, Scores

_COLUMNS = {"attention_inside": "Attention inside", **LESION_FIGURES}


def lesion_table(runs: Sequence[tuple[str, Scores]]) -> dict[str, Any] | None:
    """What `lesion_table.html.j2` shows: a row for each class that was checked and run, the rarest class first.

    Args:
      runs: Name and scores of each.

    Returns:
      "titles" of the columns and "rows"; None where nothing was checked.
    """
    order = sorted(range(len(runs[-1][1].classes)), key=lambda index: runs[-1][1].classes[index].num_images)
    rows = [
        _row(scores.classes[index], name if len(runs) > 1 else "")
        for index in order
        for name, scores in runs
        if scores.classes[index].num_checked
    ]
    return {"titles": list(_COLUMNS.values()), "rows": rows} if rows else None


def _row(scores: ClassScores, run: str) -> dict[str, Any]:
    cells = [_cell(f"{figure}/", getattr(scores, figure)) for figure in _COLUMNS]
    return {"name": scores.name, "run": run, "images": scores.num_checked, "cells": cells}


def _cell(key: str, estimate: Estimate) -> tuple[str, str]:
    return as_value(key, estimate.value), "" if estimate.value is None else as_interval(key, estimate)
