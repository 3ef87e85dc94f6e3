"""Two methods class by class: recall, precision, and the difference in recall at equal calls."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from care_tf.evaluation.pictures import BASELINE, FAINT, INK, RUN, drawing, hide_spines, shortened
from care_tf.files import atomic_path

_PANELS = {
    "recall": "Recall",
    "precision": "Precision",
    "recall_at_equal_calls": "Recall at equal calls,\nless that of {}",
}
_FIGURE = ("value", "low", "high")
_DIFFERENCE = ("difference", "difference_low", "difference_high")


def write_class_figure(
    path: str | os.PathLike, rows: Sequence[Mapping[str, Any]], baseline: str, method: str, class_names: Sequence[str]
) -> None:
    """Writes dots with 95 % intervals for every class as a PNG file.

    Args:
      path: The PNG file.
      rows: Of `comparison_rows`, with every figure.
      baseline, method: Names of two methods among them.
      class_names: From the top down.
    """
    own = {(row["method"], row["figure"]): row for row in rows}
    with drawing(9.6, 1.3 + 0.42 * len(class_names)) as figure, atomic_path(path) as temporary:
        for axes, (name, title) in zip(figure.subplots(1, 3, sharey=True), _PANELS.items(), strict=True):
            for place, class_name in enumerate(class_names):
                key = f"{name}/{class_name}"
                if name == "recall_at_equal_calls":
                    _dot(axes, own.get((method, key), {}), place, RUN, _DIFFERENCE)
                    continue
                _dot(axes, own.get((baseline, key), {}), place - 0.15, BASELINE)
                _dot(axes, own.get((method, key), {}), place + 0.15, RUN)
            axes.set_title(title.format(shortened(baseline, 30)))
            axes.locator_params(axis="x", nbins=5)
            if name == "recall_at_equal_calls":
                axes.axvline(0.0, color=INK, linewidth=1)
            else:
                axes.set_xlim(0, 1)
            axes.set_yticks(range(len(class_names)), class_names)
            axes.set_ylim(len(class_names) - 0.5, -0.5)
            hide_spines(axes, "left")
        _legend(figure, baseline, method)
        figure.savefig(temporary, format="png", dpi=150, metadata={"Software": None})


def _dot(axes: Any, row: Mapping[str, Any], place: float, color: str, columns: Sequence[str] = _FIGURE) -> None:
    value, low, high = (row.get(column) for column in columns)
    if value is None:
        return
    if low is not None:
        axes.plot([low, high], [place, place], color=color, linewidth=2, zorder=3)
    axes.scatter([value], [place], s=34, color=color, edgecolor=FAINT, linewidth=0.5, zorder=4)


def _legend(figure: Any, baseline: str, method: str) -> None:
    from matplotlib.lines import Line2D

    interval = "95 % interval over the lesions or patients tested"
    lines = [
        Line2D([], [], color=color, marker="o", linewidth=2, label=f"{name}, {interval}")
        for name, color in ((baseline, BASELINE), (method, RUN))
    ]
    figure.legend(handles=lines, loc="outside lower left", ncols=2, fontsize=9)
