"""Tables of a comparison's figures and differences, and how sure these are."""

import re
from collections.abc import Iterable, Sequence

from results_words import Pair, in_order, is_shown, name_of

from care_tf.evaluation.estimate_text import partial_text
from care_tf.runs.comparison_extract import ComparisonExtract, KeptFigure
from care_tf.runs.reproduced_tables import figure_texts

ACCURACY, LOWEST, FLIPS, AREA = "mean_class_accuracy", "worst_group_recall", "flip_rate", "macro_auc"
INSIDE, RELIANCE = "attention_inside", "lesion_reliance"
TITLES = {
    ACCURACY: "mean class accuracy",
    LOWEST: "lowest recall",
    AREA: "macro AUC",
    "recall": "recall of {}",
    "recall_at_equal_calls": "the same at equal calls",
    "precision": "precision of {}",
    "average_precision": "average precision of {}",
    FLIPS: "pairs whose call changes (less is better)",
    INSIDE: "attention inside the boxes of {}",
    RELIANCE: "lesion reliance of {}",
    "insertion_area": "insertion of {}",
    "deletion_area": "deletion of {} (less is better)",
}
"""Figure, without its class -> title."""
HEADLINE = (ACCURACY, LOWEST)
# A recall never stands without the difference at equal calls and its precision.
CALLS = (*HEADLINE, AREA, "recall", "recall_at_equal_calls", "precision", FLIPS)
_OWN = tuple(figure for figure in TITLES if figure != "recall_at_equal_calls")

Compared = tuple[ComparisonExtract, Sequence[Pair]]
"""A comparison, and which of its methods are compared with which."""


def figure_of(extract: ComparisonExtract, name: str) -> str:
    """A figure's full name: a figure of a class is that of the class in focus, the rarest with boxes."""
    is_of_class = "{}" in TITLES[name] or name == "recall_at_equal_calls"
    return f"{name}/{extract.focus[0]}" if is_of_class else name


def differences_table(compared: Sequence[Compared], names: Sequence[str] = CALLS) -> str:
    """A row for each pair of methods of each comparison: the first minus the second, in figures without their class."""
    others = {name_of(extract, other) for extract, pairs in compared for _, other in pairs}
    is_one, has_shares = len(others) == 1, len({extract.cue_share for extract, _ in compared}) > 1
    first = f"method minus {next(iter(others))}" if is_one else "method"
    rows = []
    for extract, pairs in compared:
        for method, other in pairs:
            share, minus = share_text(extract) if has_shares else "", "" if is_one else name_of(extract, other)
            cells = [difference_cell(extract, (method, other), name) for name in names]
            rows.append([name_of(extract, method), share, minus, *cells])
    return table([first, "share", "minus", *(titled(compared[0][0], name) for name in names)], rows)


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


def subject(extract: ComparisonExtract, name: str) -> str:
    """A figure as the subject of a sentence."""
    return f"the {titled(extract, name)}" if name == LOWEST else titled(extract, name)


def share_text(extract: ComparisonExtract) -> str:
    """The share of training images whose cue goes with the class: "90 %"."""
    return f"{100 * (extract.cue_share or 0.0):.0f} %"


def difference_cell(extract: ComparisonExtract, pair: Pair, name: str) -> str:
    """Bold where the difference is shown."""
    figure = figure_of(extract, name)
    kept = extract.differences.get((*pair, figure))
    if kept is None or kept.estimate.value is None:
        return ""
    text = _number_text(figure, kept, is_signed=True)
    text = f"**{text}**" if is_shown(kept) else text
    return text + partial_text(kept.num_models, extract.num_planned)


def _value_cell(extract: ComparisonExtract, method: str, figure: str) -> str:
    kept = extract.figures.get((method, figure))
    if kept is None or kept.estimate.value is None:
        return ""
    return _number_text(figure, kept, is_signed=False) + partial_text(kept.num_models, extract.num_planned)


def _number_text(figure: str, kept: KeptFigure, is_signed: bool) -> str:
    """A value with its interval, in percent or points, of areas as fractions: "+3.1 [+1.0, +5.2]"."""
    estimate = kept.estimate
    numbers = [number for number in (estimate.value, estimate.low, estimate.high) if number is not None]
    value, *interval = figure_texts(figure, numbers, is_signed)
    return f"{value} [{', '.join(interval)}]" if len(interval) == 2 else value


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table without the columns that are empty throughout."""
    kept = [index for index in range(len(header)) if any(row[index] for row in rows)]
    lines = [f"| {' | '.join(row[index].replace('|', '/') for index in kept)} |" for row in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(kept), *lines[1:]])


def folded(summary: str, text: str) -> str:
    """A part of a page that is opened by a click."""
    return f'<details markdown="1"><summary>{summary}</summary>\n\n{text}\n\n</details>'


def evidence(studies: Sequence[ComparisonExtract]) -> str:
    """The seeds trained and the lesions tested, of one comparison or from the fewest to the most."""
    seeds = _range([len(each.seeds) for each in studies], "seed")
    return f"{seeds}, {_range([sizes(each)[1] for each in studies], 'lesion')} of all classes"


def sizes(extract: ComparisonExtract) -> tuple[int, int]:
    """Numbers of images and of lesions tested, over the folds."""
    return sum(images for images, _ in extract.folds.values()), sum(lesions for _, lesions in extract.folds.values())


def _range(numbers: Iterable[int], thing: str) -> str:
    ends = sorted({min(numbers), max(numbers)})
    return f"{' to '.join(f'{each:,}' for each in ends)} {thing if ends == [1] else f'{thing}s'}"


def how_sure(studies: Sequence[ComparisonExtract], differences: str) -> str:
    """The evidence, and how many of the differences in a table are shown."""
    few = " (fewer than three seeds say little of training)" if min(len(each.seeds) for each in studies) < 3 else ""
    shown = f"{differences.count(']**')} of {differences.count('[')} differences are shown."
    is_partial = re.search(r"\(\d+ of \d+\)", differences)
    partial = " (k of n): k of the n models planned have the figure." if is_partial else ""
    return f"{evidence(studies)}{few}. {shown}{partial}"
