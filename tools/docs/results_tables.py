"""Tables of a comparison's figures and differences, and how sure these are."""

import re
from collections.abc import Mapping, Sequence

from results_words import difference_text, in_order, name_of, number_text

from care_tf.evaluation.estimate_text import partial_text
from care_tf.runs.comparison_extract import ComparisonExtract, KeptFigure

ACCURACY, LOWEST, FLIPS, AREA = "mean_class_accuracy", "worst_group_recall", "flip_rate", "macro_auc"
TITLES = {
    ACCURACY: "mean class accuracy",
    LOWEST: "lowest recall",
    AREA: "macro AUC",
    "recall": "recall of {}",
    "recall_at_equal_calls": "the same at equal calls",
    "precision": "precision of {}",
    "average_precision": "average precision of {}",
    FLIPS: "pairs whose call changes (fewer is better)",
    "attention_inside": "attention inside, {}",
    "lesion_reliance": "lesion reliance, {}",
}
"""Figure, without its class -> title."""
# A recall never stands without the difference at equal calls and its precision.
CALLS = (ACCURACY, LOWEST, AREA, "recall", "recall_at_equal_calls", "precision")
FOLLOWING = ("attention_inside", "lesion_reliance", FLIPS, ACCURACY)
_OWN = tuple(figure for figure in TITLES if figure != "recall_at_equal_calls")


def figure_of(extract: ComparisonExtract, name: str) -> str:
    """A figure's full name: a figure of a class is that of the class in focus, the rarest with boxes."""
    is_of_class = "{}" in TITLES[name] or name == "recall_at_equal_calls"
    return f"{name}/{extract.focus[0]}" if is_of_class else name


def differences_table(
    studies: Sequence[ComparisonExtract], methods: Sequence[Sequence[str]], names: Sequence[str] = CALLS
) -> str:
    """A row for each method of each comparison: its differences from its own baseline.

    Args:
      studies: One comparison, or several with other shares of misleading images.
      methods: Of each.
      names: Of figures, without their class.
    """
    header = ["method", "share" if len(studies) > 1 else "", "minus", *(titled(studies[0], name) for name in names)]
    rows = []
    for extract, own in zip(studies, methods, strict=True):
        share = share_text(extract) if len(studies) > 1 else ""
        for method in own:
            other = extract.baselines[method]
            cells = [difference_cell(extract, method, other, name) for name in names]
            rows.append([name_of(extract, method), share, name_of(extract, other), *cells])
    return table(header, rows)


def pairs_table(extract: ComparisonExtract, pairs: Sequence[tuple[str, str]], names: Sequence[str] = CALLS) -> str:
    """A row for each pair of methods: the first minus the second."""
    rows = [
        [name_of(extract, method), name_of(extract, other)]
        + [difference_cell(extract, method, other, name) for name in names]
        for method, other in pairs
    ]
    return table(["method", "minus", *(titled(extract, name) for name in names)], rows)


def values_table(extract: ComparisonExtract) -> str:
    """Every method's own figures."""
    rows = [
        [name_of(extract, method), *(_value_cell(extract, method, figure_of(extract, name)) for name in _OWN)]
        for method in in_order(list(extract.titles))
    ]
    return table(["method", *(titled(extract, name) for name in _OWN)], rows)


def titled(extract: ComparisonExtract, name: str) -> str:
    """A figure's title, with the class that it is of."""
    return TITLES[name].format(extract.focus[0])


def share_text(extract: ComparisonExtract) -> str:
    """The share of a trap: ".9", "1"."""
    return f"{extract.cue_share:.2g}".removeprefix("0")


def difference_cell(extract: ComparisonExtract, method: str, other: str, name: str) -> str:
    """Bold where the interval excludes 0, with a dagger where all of several models agree in sign."""
    figure = figure_of(extract, name)
    kept = extract.differences.get((method, other, figure))
    if kept is None or kept.estimate.value is None:
        return ""
    text = difference_text(figure, kept)
    text = f"**{text}**" if kept.estimate.excludes_zero else text
    return text + " †" * _agree(kept) + partial_text(kept.num_models, extract.num_planned)


def _agree(kept: KeptFigure) -> bool:
    return kept.num_models > 1 and ((kept.minimum or 0) > 0 or (kept.maximum or 0) < 0)


def _value_cell(extract: ComparisonExtract, method: str, figure: str) -> str:
    kept = extract.figures.get((method, figure))
    if kept is None or kept.estimate.value is None:
        return ""
    return number_text(figure, kept, is_signed=False) + partial_text(kept.num_models, extract.num_planned)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table without the columns that are empty throughout."""
    kept = [index for index in range(len(header)) if any(row[index] for row in rows)]
    lines = [f"| {' | '.join(row[index].replace('|', '/') for index in kept)} |" for row in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(kept), *lines[1:]])


def folded(summary: str, text: str) -> str:
    """A part of a page that is opened by a click."""
    return f'<details markdown="1"><summary>{summary}</summary>\n\n{text}\n\n</details>'


def how_sure(studies: Mapping[str, ComparisonExtract], shown: str) -> str:
    """Seeds, lesions, and how many of a table's intervals would exclude 0 by chance.

    Args:
      studies: Name -> comparison.
      shown: The table of differences.
    """
    sizes: dict[str, list[str]] = {}
    for name, extract in studies.items():
        sizes.setdefault(f"{_size(extract)}; {extract.setting}", []).append(name)
    sentences = [f"{', '.join(names)}: {size}." if len(sizes) > 1 else f"{size}." for size, names in sizes.items()]
    number, bold = shown.count("["), shown.count("]**")
    sentences.append(f"Of {number} intervals, {bold} exclude 0, and about {number / 20:.1f} would by chance.")
    if min(len(each.seeds) for each in studies.values()) < 3:
        sentences.append("Fewer than three seeds say little of training.")
    if re.search(r"\(\d+ of \d+\)", shown):
        sentences.append("(k of n): k of the n models planned have the figure.")
    return " ".join(sentences)


def _size(extract: ComparisonExtract) -> str:
    images, lesions = (sum(each[index] for each in extract.folds.values()) for index in (0, 1))
    seeds = f"{len(extract.seeds)} seed{'s' * (len(extract.seeds) != 1)}"
    folds = f", {len(extract.folds)} folds" if len(extract.folds) > 1 else ""
    trained = ", ".join(f"{count:,} of {label}" for label, count in extract.training_images.items())
    return f"{seeds}{folds}, {images:,} images of {lesions:,} lesions tested, trained on {trained}"
