"""The report's training curves: both stages on one axis, with the boundary between them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from care_tf.errors import InputError
from care_tf.evaluation.pictures import FAINT, INK, Picture, drawing, svg_picture, wrapped

_PANELS = (
    ("classification_loss", "Classification loss"),
    ("attention_loss", "Attention loss"),
    ("attention_inside", "Attention inside the box"),
)
_OTHER_TITLE = "Scores"
_NOT_CURVES = {"stage", "epoch", "loss", "val_loss", "alpha", "learning_rate", "lr"}
_LINE_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#5A6672")


def history_rows(history: Any) -> list[dict[str, Any]]:
    """The training history, a pandas DataFrame or a sequence of mappings, as one dict per epoch.

    Raises:
      InputError: A row without "stage".
    """
    rows = history.to_dict("records") if hasattr(history, "to_dict") else [dict(row) for row in history]
    for number, row in enumerate(rows):
        if "stage" not in row:
            raise InputError(
                f"Every row of the training history needs a stage. Received: row {number} with {sorted(row)}."
            )
    return rows


def curves_figure(history: Any) -> Picture | None:
    """Loss, attention and score curves; solid = validation where there is one, dashed = training.

    Args:
      history: As `history_rows` takes it: columns stage, epoch, loss, classification_loss, attention_loss,
        attention_inside, metrics and their val_ counterparts; columns that are missing or empty are left out.

    Returns:
      The picture, or None for an empty history.
    """
    rows = history_rows(history)
    panels = _panels(rows)
    if not panels:
        return None
    num_columns = 2 if len(panels) > 1 else 1
    num_lines = math.ceil(len(panels) / num_columns)
    with drawing(10.4, 2.7 * num_lines) as figure:
        for place, (title, lines) in enumerate(panels, start=1):
            axes = figure.add_subplot(num_lines, num_columns, place)
            _draw_panel(axes, title, lines)
            _mark_stages(axes, [row["stage"] for row in rows])
        stages = list(dict.fromkeys(str(row["stage"]) for row in rows))
        alt = f"Training curves over {len(rows)} epochs in {len(stages)} stages ({', '.join(stages)}). " + "; ".join(
            f"{title}: " + ", ".join(f"{name} ends at {_last(values):.3f}" for name, values, _ in lines)
            for title, lines in panels
        )
        return svg_picture(figure, alt)


def _panels(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[tuple[str, np.ndarray, str]]]]:
    """`(title, lines)` of every panel; a line is (name, values, dash style)."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    values = {name: _numbers(rows, name) for name in columns if name not in _NOT_CURVES}
    values = {name: column for name, column in values.items() if np.isfinite(column).any()}
    if not any(name in values for name in ("classification_loss", "val_classification_loss")):
        for name in ("loss", "val_loss"):
            if np.isfinite(_numbers(rows, name)).any():
                values[name.replace("loss", "classification_loss")] = _numbers(rows, name)
    panels = []
    for name, title in _PANELS:
        pair = (("validation", f"val_{name}", "-"), ("training", name, "--"))
        panels.append((title, [(label, values.pop(key), dash) for label, key, dash in pair if key in values]))
    others = list(values)
    kept = [n for n in others if n.startswith("val_")] or others
    lines = [(_display_name(name), values[name], "-") for name in kept[: len(_LINE_COLORS)]]
    panels.append((_OTHER_TITLE, lines))
    return [(title, lines) for title, lines in panels if lines]


def _display_name(column: str) -> str:
    return column.removeprefix("val_").replace("_", " ").replace(" auc", " AUC")


def _numbers(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    found = []
    for row in rows:
        try:
            found.append(float(row.get(name, "nan")))
        except (TypeError, ValueError):
            found.append(float("nan"))
    return np.asarray(found)


def _draw_panel(axes: Any, title: str, lines: Sequence[tuple[str, np.ndarray, str]]) -> None:
    is_pair = all(name in ("validation", "training") for name, _, _ in lines)
    for number, (name, values, dash) in enumerate(lines):
        color = (_LINE_COLORS[0] if dash == "-" else FAINT) if is_pair else _LINE_COLORS[number]
        epochs = np.arange(1, len(values) + 1)
        marker = "o" if np.isfinite(values).sum() == 1 else None
        axes.plot(epochs, values, dash, color=color, linewidth=1.8, label=wrapped(name, 34), marker=marker)
    axes.set_title(title, pad=17)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=8.5, loc="best")


def _mark_stages(axes: Any, stages: Sequence[Any]) -> None:
    starts = [0] + [i for i in range(1, len(stages)) if stages[i] != stages[i - 1]]
    axes.set_xlim(0.5, len(stages) + 0.5)
    for start, end in zip(starts, [*starts[1:], len(stages)], strict=True):
        if start:
            axes.axvline(start + 0.5, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        name = str(stages[start])
        label = f"stage {name}" if name.isdigit() else name
        axes.text(
            (start + end + 1) / 2, 1.0, label, transform=axes.get_xaxis_transform(),
            ha="center", va="bottom", fontsize=8.5, color=FAINT,
        )  # fmt: skip


def _last(values: np.ndarray) -> float:
    return float(values[np.isfinite(values)][-1])
