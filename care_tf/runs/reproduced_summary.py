"""What all tables reproduced in a folder say together of methods with attention."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from care_tf import run_files
from care_tf.runs.config import load_config
from care_tf.runs.reproduced_tables import figure_texts
from care_tf.text_files import read_text

PAGE = "paper.md"
"""What is written of a table into its folder, beside the files of its comparison."""
_FIGURES = {
    "attention_inside/": "attention inside the boxes of {}, points",
    "mean_class_accuracy": "mean class accuracy, points",
    "recall_at_equal_calls/": "recall of {} at equal calls, points",
    "average_precision/": "average precision of {}",
}


def attention_summary(
    settings: Sequence[Mapping[str, Mapping[str, Any]]], num_runs: int, num_lines: int, rarest: str
) -> str:
    """The differences from the methods without attention, over different settings, as Markdown.

    Args:
      settings: For each: figure -> its row of `comparison_rows`.
      num_runs: How many runs they have.
      num_lines: How many lines of the tables show them; several tables may show one.
      rarest: The class whose boxes, recall and average precision count.

    Returns:
      A sentence and a table; "" where there is no setting.
    """
    if not settings:
        return ""
    lines = [
        f"Over the {len(settings)} different settings with attention (alpha above 0) of the tables below, {num_runs} "
        f"runs, which stand in {num_lines} lines: the difference from the same method without.",
        "",
        "| | smallest | largest | intervals above 0 | intervals below 0 |",
        "|---|---|---|---|---|",
    ]
    for name, title in _FIGURES.items():
        figure = f"{name}{rarest}" if name.endswith("/") else name
        rows = [rows[figure] for rows in settings if rows.get(figure, {}).get("difference") is not None]
        ends = figure_texts(figure, _ends([row["difference"] for row in rows]), is_signed=True) if rows else ["", ""]
        lows = [row["difference_low"] for row in rows if row["difference_low"] is not None]
        highs = [row["difference_high"] for row in rows if row["difference_high"] is not None]
        counts = [f"{number} of {len(lows)}" for number in (sum(v > 0 for v in lows), sum(v < 0 for v in highs))]
        lines.append(f"| {' | '.join([title.format(rarest), *ends, *counts])} |")
    note = (
        "The settings share images and baselines, and the intervals hold the trained models fixed: more than one of 20 "
        "excludes 0 by chance."
    )
    return "\n".join([*lines, "", note])


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def summary_of_folder(runs: Path, rarest: str) -> str:
    """`attention_summary` of all tables in a folder of `care reproduce`.

    Two lines are one setting where a run of one has the configuration and data of a run of the other: tau .7 in one
    table is alpha .5 in another. The line with most runs counts.
    """
    found: list[tuple[frozenset[str], dict[str, Any]]] = []
    for page in sorted(runs.glob(f"*/{PAGE}")):
        if not all((page.parent / name).exists() for name in ("comparison.csv", "cells.csv")):
            continue  # removed since, like runs below
        rows = read_comparison(page.parent / "comparison.csv")
        for method, records in _runs_with_attention(page.parent / "cells.csv", runs).items():
            found.append((records, {row["figure"]: row for row in rows if row["method"] == method}))
    settings: list[tuple[frozenset[str], dict[str, Any]]] = []
    for records, own in sorted(found, key=lambda each: -len(each[0])):
        if not any(records & known for known, _ in settings):
            settings.append((records, own))
    num_runs = len(frozenset().union(*(records for records, _ in settings)))
    return attention_summary([own for _, own in settings], num_runs, len(found), rarest)


def read_comparison(path: Path) -> list[dict[str, Any]]:
    """The rows of `comparison_rows` that a comparison.csv has."""
    return [{key: _number(value) for key, value in row.items()} for row in _rows(path)]


def _runs_with_attention(cells: Path, runs: Path) -> dict[str, frozenset[str]]:
    """Method -> what its runs' predictions depend on (`CELL_RECORD`), for the methods of a cells.csv with attention."""
    names = {(row["method"], f"fold{row['fold']}_seed{row['seed']}") for row in _rows(cells)}
    folders: dict[str, list[Path]] = {}
    for method, run in sorted(names):
        if (runs / "cells" / method / run / run_files.CELL_RECORD).exists():  # else removed since
            folders.setdefault(method, []).append(runs / "cells" / method / run)
    return {
        method: frozenset(read_text(folder / run_files.CELL_RECORD) for folder in own)
        for method, own in folders.items()
        if any(stage.alpha > 0 for stage in load_config(own[0] / run_files.CONFIG).stages)
    }


def _rows(path: Path) -> csv.DictReader:
    return csv.DictReader(io.StringIO(read_text(path), newline=""))


def _number(value: str) -> Any:
    try:
        return float(value) if value else None
    except ValueError:
        return value
