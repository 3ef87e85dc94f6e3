"""The results page's plot: what methods gain over CSL, the more often the cue goes with the class in training."""

import os
from collections.abc import Sequence
from typing import Any

from results_questions import SWEPT
from results_tables import ACCURACY, LOWEST, share_text
from results_words import RIVALS, is_shown, name_of

from care_tf.evaluation.pictures import INK, drawing
from care_tf.files import atomic_path
from care_tf.runs.comparison_extract import ComparisonExtract, KeptFigure

_COLORS = ("#0072B2", "#D55E00", "#6B7682")  # after Okabe and Ito, in the order of SWEPT
_PANELS = {
    LOWEST: "Lowest recall of a class,\nwith or without the cue",
    ACCURACY: "Mean class accuracy\n(balanced accuracy)",
}
_APART = 0.016  # of the axis between the methods' dots, so that their intervals do not hide each other
_WORDS = {0.5: "tells nothing", 1.0: "always"}


def write_gain_plot(path: str | os.PathLike, studies: Sequence[ComparisonExtract]) -> None:
    """Draws gains in points with 95 % intervals as a PNG file: filled where a gain or loss is shown.

    Args:
      path: The PNG file.
      studies: Of one trap, each with another share; at least one.
    """
    studies = sorted(studies, key=lambda extract: extract.cue_share or 0.0)
    methods = [method for method in SWEPT if any(method in extract.titles for extract in studies)]
    apart = _APART * (1.08 - (studies[0].cue_share or 0.0))
    with drawing(9.4, 4.6) as figure, atomic_path(path) as temporary:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, (name, title) in zip(panels, _PANELS.items(), strict=True):
            axes.set_title(title)
            axes.axhline(0.0, color=INK, linewidth=1.2)
            for place, method in enumerate(methods):
                _draw_method(axes, studies, method, name, apart * (place - (len(methods) - 1) / 2))
            _label_shares(axes, studies)
        panels[0].set_ylabel("method minus CSL, points")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9.5)
        figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None})


def _draw_method(axes: Any, studies: Sequence[ComparisonExtract], method: str, name: str, shift: float) -> None:
    points = [(extract, extract.differences.get((method, "csl", name))) for extract in studies]
    known = [(extract, kept) for extract, kept in points if kept is not None and kept.estimate.value is not None]
    if not known:
        return
    color = _COLORS[SWEPT.index(method)]
    shares = [(extract.cue_share or 0.0) + shift for extract, _ in known]
    values = [100 * (kept.estimate.value or 0.0) for _, kept in known]
    style = (0, (4, 2)) if method in RIVALS else "solid"
    title = name_of(known[0][0], method) + (" (no attention)" if method in RIVALS else "")
    axes.plot(shares, values, color=color, linewidth=2, linestyle=style, marker="o", label=title, zorder=3)
    for share, value, (_, kept) in zip(shares, values, known, strict=True):
        _draw_interval(axes, share, value, kept, color)


def _draw_interval(axes: Any, share: float, value: float, kept: KeptFigure, color: str) -> None:
    low, high = kept.estimate.low, kept.estimate.high
    if low is None or high is None:
        return
    axes.plot([share, share], [100 * low, 100 * high], color=color, linewidth=1.2, alpha=0.75, zorder=2)
    face = color if is_shown(kept) else "white"
    axes.scatter([share], [value], s=42, color=face, edgecolor=color, linewidth=1.6, zorder=4)


def _label_shares(axes: Any, studies: Sequence[ComparisonExtract]) -> None:
    shares = [extract.cue_share or 0.0 for extract in studies]
    seeds = [f"{share_text(extract)}\nseeds: {len(extract.seeds)}" for extract in studies]
    words = [_WORDS.get(share, "") for share in shares]
    axes.set_xticks(shares, [f"{text}\n{word}" for text, word in zip(seeds, words, strict=True)])
    axes.set_xlim(min(shares) - 0.04, 1.04)
    axes.set_xlabel("share of training images whose cue goes with the class\nfilled: shown, the models agree in sign")
    axes.grid(axis="x", visible=False)
