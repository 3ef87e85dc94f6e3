"""The report's charts of scores: recall and attention per class, paired differences, confusion matrix.

In all of them, `names` are the display names of the baseline and of the run.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from care_tf.evaluation.estimate_text import MINUS, rounded_text
from care_tf.evaluation.pictures import (
    BASELINE,
    FAINT,
    INK,
    RUN,
    Picture,
    drawing,
    hide_spines,
    num_lines,
    percent,
    svg_picture,
    wrapped,
)
from care_tf.evaluation.scores import Estimate, Scores

RUN_NAMES = ("baseline", "run")
"""Default display names of the baseline and of the run."""


def recall_figure(scores: Scores, baseline: Scores | None = None, names: tuple[str, str] = RUN_NAMES) -> Picture:
    """Horizontal bars of every class's recall with its interval, a diamond for its precision, rarest class on top."""
    order = sorted(range(len(scores.classes)), key=lambda index: -scores.classes[index].num_images)
    runs = [(scores, RUN, names[1])] if baseline is None else [(baseline, BASELINE, names[0]), (scores, RUN, names[1])]
    thickness = 0.62 / len(runs)
    labels = [wrapped(f"{scores.classes[index].name}  (n {scores.classes[index].num_images})") for index in order]
    with drawing(5.1, 0.7 + _legend_height(names) + _pitch(0.52, labels) * len(order)) as figure:
        axes = figure.add_subplot()
        for number, (run, color, name) in enumerate(runs):
            shift = (len(runs) - 1) / 2 - number
            for row, index in enumerate(order):
                recall = run.classes[index].recall
                label = name if row == 0 else None
                axes.barh(row + shift * thickness, recall.value or 0.0, thickness * 0.92, color=color, label=label)
                _whisker(axes, recall, row + shift * thickness, INK)
                precision = run.classes[index].precision.value
                if precision is not None:  # at the lower edge, away from the recall's interval
                    axes.scatter([precision], [row + (shift - 0.46) * thickness], edgecolor=color, **_DIAMOND)
        for row, index in enumerate(order):
            numbers = [percent(run.classes[index].recall.value, 0) for run, _, _ in runs]
            axes.text(1.03, row, " \u2192 ".join(numbers), va="center", fontsize=9, clip_on=False)
        axes.set_yticks(range(len(order)), labels)
        _share_axis(axes, "recall")
        axes.set_ylim(-0.6, len(order) - 0.4)
        axes.scatter([], [], edgecolor=INK, label="precision", **_DIAMOND)
        _legend(figure, axes)
        alt = "Recall and precision by class. " + "; ".join(
            f"{c.name}: {percent(c.recall.value)}, {c.num_correct} of {c.num_images}; {percent(c.precision.value)} of "
            f"{c.num_calls or 0} calls"
            for c in scores.classes
        )
        return svg_picture(figure, alt)


def attention_figure(scores: Scores, baseline: Scores | None = None, names: tuple[str, str] = RUN_NAMES) -> Picture:
    """Attention inside the box of every class with boxes, with intervals, beside what maps without learning score."""
    order = [index for index, c in enumerate(scores.classes) if c.num_boxes and c.attention_inside.value is not None]
    order.sort(key=lambda index: -scores.classes[index].num_images)
    labels = [wrapped(f"{scores.classes[i].name}  (boxes {scores.classes[i].num_boxes})") for i in order]
    with drawing(5.1, 0.7 + _legend_height(names) + _pitch(0.52, labels) * len(order)) as figure:
        axes = figure.add_subplot()
        for row, index in enumerate(order):
            own = scores.classes[index]
            for key, value in _references(scores, index):
                label = _REFERENCE_NAMES.get(key, key) if row == 0 else None
                style = ":" if key == "uniform" else "-"
                axes.plot([value] * 2, [row - 0.38, row + 0.38], style, color=FAINT, linewidth=2.4, label=label)
            if baseline is not None:
                _point(axes, baseline.classes[index].attention_inside, row + 0.16, BASELINE, names[0], row == 0)
            _point(axes, own.attention_inside, row - 0.16 * (baseline is not None), RUN, names[1], row == 0)
        axes.set_yticks(range(len(order)), labels)
        _share_axis(axes, "energy inside the box")
        axes.set_ylim(-0.6, len(order) - 0.4)
        _legend(figure, axes)
        alt = "Attention inside the box by class. " + "; ".join(
            f"{scores.classes[i].name}: {percent(scores.classes[i].attention_inside.value)}"
            + "".join(f", {_REFERENCE_NAMES.get(k, k)} {percent(v)}" for k, v in _references(scores, i))
            for i in order
        )
        return svg_picture(figure, alt)


def difference_figure(
    differences: Mapping[str, Estimate], labels: Mapping[str, str], names: tuple[str, str] = RUN_NAMES
) -> Picture:
    """Paired differences with intervals around a line at zero, filled where the interval excludes zero.

    Args:
      differences: Figure name -> run minus baseline, of `paired_difference`.
      labels: Figure name -> what to call it, in the order to draw.
    """
    shown = [(labels[key], differences[key]) for key in labels if differences.get(key, _UNDEFINED).value is not None]
    titles = [wrapped(label, 32) for label, _ in shown]
    higher = [wrapped(f"{name} higher", 56) for name in names]
    heads = 0.2 * sum(name.count("\n") + 2 for name in higher)
    with drawing(5.1, 0.5 + heads + _pitch(0.34, titles) * len(shown)) as figure:
        axes = figure.add_subplot()
        axes.axvline(0.0, color=INK, linewidth=1)
        for row, (_, estimate) in enumerate(reversed(shown)):
            _point(axes, estimate, row, RUN, "", False, hollow=not estimate.excludes_zero)
        axes.set_yticks(range(len(shown)), titles[::-1])
        axes.set_ylim(-0.6, len(shown) - 0.4)
        reach = max([abs(v) for _, e in shown for v in (e.value, e.low, e.high) if v is not None] + [0.05]) * 1.08
        axes.set_xlim(-reach, reach)
        axes.xaxis.set_major_formatter(
            lambda value, _: rounded_text(100 * value, 0, is_signed=True).replace("-", MINUS)
        )
        gap = " \u00b7 points \u00b7 " if len("".join(higher)) <= 40 else "\npoints\n"
        text = f"\u2190 {higher[0]}{gap}{higher[1]} \u2192"
        if "\n" in gap:  # too wide to stand below the axes alone
            figure.supxlabel(text, fontsize=9)
        else:
            axes.set_xlabel(text)
        hide_spines(axes, "left")
        axes.grid(axis="y", visible=False)
        alt = "Paired differences. " + "; ".join(f"{label}: {_points(estimate)}" for label, estimate in shown)
        return svg_picture(figure, alt)


def confusion_figure(scores: Scores) -> Picture:
    """The confusion matrix: counts, and the share of the true class as shade and percentage.

    Long names stand beside the rows only, with numbers that stand below the columns.
    """
    counts = np.asarray(scores.confusion)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    names = [c.name for c in scores.classes]
    rows, columns, rotation = _confusion_labels(names)
    side = min(10.4, max(3.2, 1.0 + 0.62 * len(names)))
    width = min(10.4, side + 0.06 * max(0, max(len(line) for row in rows for line in row.split("\n")) - 10))
    with drawing(width, max(side * 0.92, 0.8 + _pitch(0, rows) * len(names))) as figure:
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
        for i, j in np.ndindex(counts.shape):
            color = "white" if shares[i, j] > 0.55 else INK if counts[i, j] else FAINT
            text = f"{counts[i, j]}\n{100 * shares[i, j]:.0f}\u202f%" if counts[i, j] else "0"
            axes.text(j, i, text, ha="center", va="center", color=color, fontsize=8.5)
        axes.set_xticks(range(len(names)), columns, rotation=rotation)
        axes.set_yticks(range(len(names)), rows)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        axes.grid(visible=False)
        hide_spines(axes, "left", "bottom")
        return svg_picture(figure, _confusion_text(counts, names))


def _confusion_labels(names: Sequence[str]) -> tuple[list[str], list[str], int]:
    """What stands beside the rows and below the columns, and how far the latter is turned, degrees."""
    longest = max(map(len, names))
    if longest <= _LONGEST_BELOW:
        return list(names), list(names), 45 if longest > 6 else 0
    numbered = [wrapped(f"{name}  {number}", 30) for number, name in enumerate(names, start=1)]
    return numbered, [str(number) for number in range(1, len(names) + 1)], 0


def _confusion_text(counts: np.ndarray, names: Sequence[str]) -> str:
    rows = [
        f"{name}: " + ", ".join(f"{count} as {other}" for count, other in zip(row, names, strict=True) if count)
        for name, row in zip(names, counts, strict=True)
        if row.sum()
    ]
    return "Confusion matrix, by true class. " + "; ".join(rows)


_LONGEST_BELOW = 14  # letters of a class name below a column
_DIAMOND: dict[str, Any] = dict(marker="D", s=20, facecolor="white", linewidth=1.5, zorder=5, clip_on=False)
_REFERENCE_NAMES = {"uniform": "uniform map", "centered_gaussian": "centered Gaussian"}
_UNDEFINED = Estimate(None, None, None)


def _references(scores: Scores, index: int) -> list[tuple[str, float]]:
    return [(k, v) for k, v in scores.classes[index].attention_references.items() if v is not None]


def _points(estimate: Estimate) -> str:
    numbers = [
        rounded_text(100 * v, 1, is_signed=True) for v in (estimate.value, estimate.low, estimate.high) if v is not None
    ]
    return f"{numbers[0]} points" + (f" (95 % interval {numbers[1]} to {numbers[2]})" if len(numbers) == 3 else "")


def _whisker(axes: Any, estimate: Estimate, row: float, color: str) -> None:
    if estimate.low is not None and estimate.high is not None:
        ends = ([estimate.low, estimate.high], [row, row])
        axes.plot(*ends, color="white", linewidth=2.8, solid_capstyle="butt")  # a halo: visible on the bar and off it
        axes.plot(*ends, color=color, linewidth=1.4, solid_capstyle="butt")


def _point(
    axes: Any, estimate: Estimate, row: float, color: str, name: str, is_labeled: bool, hollow: bool = False
) -> None:
    if estimate.value is None:
        return
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [row, row], color=color, linewidth=2, zorder=3)
    face = "white" if hollow else color
    axes.scatter(
        [estimate.value], [row], s=44, color=face, edgecolor=color, linewidth=1.8, zorder=4,
        label=name if is_labeled else None,
    )  # fmt: skip


def _share_axis(axes: Any, label: str) -> None:
    axes.set_xlim(0.0, 1.0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}\u202f%")
    axes.set_xlabel(label)
    axes.grid(axis="y", visible=False)


def _legend(figure: Any, axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    labels = [wrapped(label, 60) for label in labels]
    columns = 4 if len("".join(labels)) <= 48 else 2 if max(map(len, labels)) <= 24 else 1
    figure.legend(
        handles, labels, loc="outside upper left", ncols=columns, fontsize=9, handletextpad=0.4, columnspacing=1.2
    )


def _legend_height(names: Sequence[str]) -> float:
    """Inches that a legend of two runs and two signs takes."""
    if max(map(len, names)) <= 24:
        return 0.2 if len("".join(names)) <= 24 else 0.4
    return 0.4 + 0.2 * sum(num_lines([wrapped(name, 60)]) for name in names)


def _pitch(least: float, labels: Sequence[str]) -> float:
    """Inches from row to row."""
    return max(least, 0.17 * num_lines(labels) + 0.06)
