"""The picture of a comparison: figures of every method with intervals, and paired differences around zero."""

import contextlib
import os
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from care_tf.evaluation._method_comparison import CellMean, Comparison, MethodScores, focus_figures
from care_tf.evaluation.estimate_text import MINUS
from care_tf.evaluation.pictures import BASELINE, FAINT, INK, RUN, drawing, hide_spines
from care_tf.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BAND = "#F4F6F8"
_ROW_IN, _COLUMN_IN, _LETTER_IN = 0.36, 2.35, 0.085
_TITLE_LETTERS = 20  # what fits above a column
_MOST_COLUMNS = 9  # side by side; more are wrapped
_BESIDE = 0.27  # how far, in rows, the baseline's dot lies above the method's own


def write_comparison_plot(
    path: str | os.PathLike, comparison: Comparison, focus_classes: Sequence[str], dots_per_inch: int = 150
) -> None:
    """Draws a comparison as a PNG file: a column per figure, a row per method, paired differences below.

    More columns than fit side by side are wrapped, like lines of text.

    Above: the mean over a method's trained models with its 95 % interval, its own baseline in gray beside it, the
    single models as faint ticks. Below: method minus its own baseline, filled in color where the interval excludes 0.
    A method follows its baseline; a band marks those that belong together.

    Args:
      path: The PNG file.
      comparison: The comparison.
      focus_classes: Names of the classes it is about; the columns are those of `focus_figures`.
      dots_per_inch: Resolution.

    Raises:
      InputError: A class in focus that is not in the comparison.
    """
    with _drawn(comparison, focus_classes) as figure, atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dots_per_inch, metadata={"Software": None})


@contextlib.contextmanager
def _drawn(comparison: Comparison, focus_classes: Sequence[str]) -> Iterator["Figure"]:
    bands = _bands(list(focus_figures(comparison, focus_classes).items()))
    with drawing(*_size_in(comparison, len(bands[0]), len(bands))) as figure:
        _draw(figure, comparison, bands, _families(comparison))
        yield figure


def _bands(columns: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """The columns in as few bands as they fit in, about equally many in each and most in the first."""
    num_bands = -(-len(columns) // _MOST_COLUMNS)
    most = -(-len(columns) // num_bands)
    return [columns[start : start + most] for start in range(0, len(columns), most)]


def _families(comparison: Comparison) -> list[list[MethodScores]]:
    """Methods without a baseline in their order, each followed by all that are compared with it, directly or not."""
    followers: dict[str | None, list[MethodScores]] = {}
    for method in comparison.methods:
        followers.setdefault(method.spec.baseline, []).append(method)
    seen: set[str] = set()

    def family(method: MethodScores) -> list[MethodScores]:
        if method.spec.name in seen:
            return []
        seen.add(method.spec.name)
        return [method, *(m for follower in followers.get(method.spec.name, []) for m in family(follower))]

    # The second round is for baselines in a circle: none of them is without a baseline.
    found = [family(method) for method in (*followers.get(None, []), *comparison.methods)]
    return [members for members in found if members]


def _size_in(comparison: Comparison, num_columns: int, num_bands: int) -> tuple[float, float]:
    num_compared = sum(method.spec.baseline is not None for method in comparison.methods)
    num_rows = len(comparison.methods) + num_compared
    longest = max(len(method.spec.title) for method in comparison.methods)
    width = 0.5 + _LETTER_IN * max(longest, 20) + _COLUMN_IN * num_columns
    return width, 0.8 + num_bands * (1.1 + _ROW_IN * num_rows + 0.9 * bool(num_compared))


def _draw(
    figure: Any, comparison: Comparison, bands: list[list[tuple[str, str]]], families: list[list[MethodScores]]
) -> None:
    compared = [[method for method in members if method.spec.baseline is not None] for members in families]
    compared = [members for members in compared if members]
    for part, columns in zip(np.ravel(figure.subfigures(len(bands))), bands, strict=True):
        _draw_band(part, comparison, columns, families, compared, num_places=len(bands[0]))
    _legend(figure, bool(compared), is_narrow=len(bands[0]) < 4)
    figure.get_layout_engine().set(w_pad=0.08)  # inches; tick labels at the edges of neighbors stay apart


def _draw_band(
    part: Any,
    comparison: Comparison,
    columns: list[tuple[str, str]],
    families: list[list[MethodScores]],
    compared: list[list[MethodScores]],
    num_places: int,
) -> None:
    row_counts = [sum(map(len, members)) for members in (families, compared) if members]
    grid = part.subplots(
        len(row_counts), num_places, squeeze=False, sharey="row", gridspec_kw={"height_ratios": row_counts}
    )
    for axes in grid[:, len(columns) :].flat:
        axes.set_axis_off()
    for number, (name, title) in enumerate(columns):
        grid[0, number].set_title(textwrap.fill(title, _TITLE_LETTERS))
        if any(method.figures[name].num_cells for method in comparison.methods):
            _draw_figures(grid[0, number], comparison, name, families)
        else:  # a difference alone, as a recall at equal calls
            grid[0, number].set_axis_off()
        if compared:
            _draw_differences(grid[1, number], name, compared)
    _label_methods(grid[:, 0], comparison, families, compared)


def _label_methods(
    first_column: Any, comparison: Comparison, families: list[list[MethodScores]], compared: list[list[MethodScores]]
) -> None:
    num_models = len(comparison.cells)
    _label_rows(
        first_column[0], [(m.spec.title, _finished(len(m.cells), num_models)) for members in families for m in members]
    )
    if compared:
        labels = []
        for method in (m for members in compared for m in members):
            baseline = comparison.method(method.spec.baseline or "").spec.title
            notes = [f"minus {baseline}", _finished(len(method.pairs), num_models)]
            labels.append((method.spec.title, ", ".join(note for note in notes if note)))
        _label_rows(first_column[1], labels)


def _draw_figures(axes: Any, comparison: Comparison, name: str, families: list[list[MethodScores]]) -> None:
    for row, method in enumerate(_rows(axes, families)):
        has_baseline = method.spec.baseline is not None
        if has_baseline and method.cells:
            other = comparison.method(method.spec.baseline or "").figures[name]
            _point(axes, other, row - _BESIDE, FAINT, size=20, width=1.2)
        color = RUN if has_baseline else INK
        _point(axes, method.figures[name], row, color)
        _ticks(axes, method.figures[name], row, color)


def _draw_differences(axes: Any, name: str, families: list[list[MethodScores]]) -> None:
    axes.axvline(0.0, color=INK, linewidth=1)
    for row, method in enumerate(_rows(axes, families)):
        difference = method.differences[name]
        color = _difference_color(difference)
        _point(axes, difference, row, color, is_hollow=color == FAINT)
        _ticks(axes, difference, row, color)
    axes.set_xlabel("method minus baseline", fontsize=9)


def _difference_color(difference: CellMean) -> str:
    if not difference.mean.excludes_zero:
        return FAINT
    return RUN if (difference.mean.value or 0.0) > 0 else BASELINE


def _point(
    axes: Any, figure: CellMean, row: float, color: str, size: float = 40, width: float = 2, is_hollow: bool = False
) -> None:
    mean = figure.mean
    if mean.value is None:
        return
    if mean.low is not None:
        axes.plot([mean.low, mean.high], [row, row], color=color, linewidth=width, solid_capstyle="butt", zorder=3)
    face = "white" if is_hollow else color
    axes.scatter([mean.value], [row], s=size, color=face, edgecolor=color, linewidth=width * 0.8, zorder=4)


def _ticks(axes: Any, figure: CellMean, row: float, color: str) -> None:
    values = list(figure.by_cell.values())
    axes.scatter(
        values, [row + _BESIDE] * len(values), marker="|", s=26, color=color, linewidth=0.9, alpha=0.55, zorder=2
    )


def _rows(axes: Any, families: list[list[MethodScores]]) -> list[MethodScores]:
    """The methods from the top row down; draws their axes, and a band behind every other family."""
    from matplotlib.ticker import MaxNLocator

    edge = -0.5
    for number, members in enumerate(families):
        if number % 2 == 0:
            axes.axhspan(edge, edge + len(members), color=_BAND, linewidth=0, zorder=0)
        edge += len(members)
    axes.set_ylim(edge, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: _short(value))
    axes.tick_params(axis="x", labelsize=9)
    axes.grid(axis="y", visible=False)
    hide_spines(axes, "left")
    return [method for members in families for method in members]


def _short(value: float) -> str:
    digits = f"{abs(value):.3g}".removeprefix("0") or "0"
    return digits if value >= 0 or digits == "0" else MINUS + digits


def _finished(number: int, total: int) -> str:
    return "" if number == total else f"{number} of {total} models" if number else "no model yet"


def _label_rows(axes: Any, labels: Sequence[tuple[str, str]]) -> None:
    """Row labels: the title, and a note in small below it."""
    axes.set_yticks(range(len(labels)), ["" for _ in labels])
    for row, (title, note) in enumerate(labels):
        place = {"xy": (0.0, row), "xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right"}
        axes.annotate(title, xytext=(-8, 4 if note else 0), va="center", fontsize=10, **place)
        if note:
            axes.annotate(note, xytext=(-8, -7), va="center", fontsize=7.5, color="#5A6672", **place)


def _legend(figure: Any, has_differences: bool, is_narrow: bool) -> None:
    from matplotlib.lines import Line2D

    def dot(color: str, label: str, is_hollow: bool = False, size: float = 6) -> Any:
        face = "white" if is_hollow else color
        return Line2D([], [], color=color, marker="o", markersize=size, markerfacecolor=face, linewidth=2, label=label)

    above = [dot(INK, "mean over models, 95 % interval over test images, not over training")]
    if has_differences:
        above += [dot(RUN, "the same, of a method with a baseline"), dot(FAINT, "its baseline", size=4)]
        below = [
            dot(RUN, "higher than the baseline: the interval excludes 0"),
            dot(BASELINE, "lower than the baseline: the interval excludes 0"),
            dot(FAINT, "no difference shown: the interval includes 0", is_hollow=True),
        ]
        figure.legend(handles=below, loc="outside lower left", ncols=1 if is_narrow else 3, fontsize=9)
    tick = Line2D([], [], color=INK, marker="|", markersize=6, linestyle="", alpha=0.55, label="single models")
    figure.legend(handles=[*above, tick], loc="outside upper left", ncols=2 if is_narrow else 4, fontsize=9)
