"""The paper's numbers beside ours."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from care_tf.evaluation.estimate_text import PARTIAL_NOTE, partial_text, rounded_text
from care_tf.evaluation.headline import is_auc
from care_tf.runs._paper_differences import differences_from_paper
from care_tf.runs.config import RunConfig
from care_tf.runs.reproduction import PaperTable

_Own = Mapping[tuple[str, str], Mapping[str, Any]]
"""Method and figure -> its row of `comparison_rows`."""
_VALUE = ("value", "low", "high", "num_cells")
_DIFFERENCE = ("difference", "difference_low", "difference_high", "difference_num_cells")


def beside_paper(
    table: PaperTable, rows: Sequence[Mapping[str, Any]], rarest: str, configs: Mapping[str, RunConfig]
) -> str:
    """The paper's numbers beside ours, as Markdown: a table of all classes, and one of the rarest class.

    The second has what the paper's recalls leave open: the difference in recall at equal calls, the precision, the
    average precision and the attention inside the boxes.

    Args:
      table: The paper's table.
      rows: Of `comparison_rows`.
      rarest: The class whose recall the paper gives.
      configs: Method -> configuration of its runs.

    Returns:
      Two tables with a row per method (the paper's numbers, ours with their intervals, and ours minus those of the
      baseline, paired), and what differs from the paper.
    """
    own = {(row["method"], row["figure"]): row for row in rows}
    differences = " ".join(differences_from_paper(table, configs))
    tables = [_all_classes(table, own), _rarest_class(table, own, rarest)]
    text = "\n\n".join([*tables, *([f"What differs from the paper: {differences}"] if differences else [])])
    return f"{text}\n\n{PARTIAL_NOTE}" if re.search(r"\(\d+ of \d+\)", text) else text


def _all_classes(table: PaperTable, own: _Own) -> str:
    # The paper's AUC is each class's against the others, averaged over the classes (section 4.1).
    has_auc = any(auc is not None for _, _, auc in table.rows.values())
    header = ["method", "paper's MCA, %", "ours", "difference"]
    header += ["paper's AUC, mean of classes", "ours", "difference"] if has_auc else []
    lines = []
    for method, (accuracy, _, auc) in table.rows.items():
        cells = [method, _published(accuracy), *_both(own, method, "mean_class_accuracy")]
        lines.append([*cells, *([_published(auc), *_both(own, method, "macro_auc")] if has_auc else [])])
    return _markdown(header, lines)


def _rarest_class(table: PaperTable, own: _Own, rarest: str) -> str:
    header = [f"paper's recall of {rarest}, %", "ours", "difference", "at equal calls", "precision, %"]
    header += ["average precision", "attention inside the boxes, %", "difference"]
    lines = []
    for method, (_, recall, _) in table.rows.items():
        cells = [method, _published(recall), *_both(own, method, f"recall/{rarest}")]
        cells.append(_text(own, method, f"recall_at_equal_calls/{rarest}", is_difference=True))
        cells += [_text(own, method, f"{name}/{rarest}") for name in ("precision", "average_precision")]
        lines.append([*cells, *_both(own, method, f"attention_inside/{rarest}")])
    return _markdown(["method", *header], lines)


def _markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [f"| {' | '.join(cells)} |" for cells in (header, *lines)]
    return "\n".join([rows[0], "|" + "---|" * len(header), *rows[1:]])


def _published(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _both(own: _Own, method: str, figure: str) -> tuple[str, str]:
    return _text(own, method, figure), _text(own, method, figure, is_difference=True)


def _text(own: _Own, method: str, figure: str, is_difference: bool = False) -> str:
    """A figure with its interval, a share in percent, and of how many models where not all have it; "" for none."""
    names = _DIFFERENCE if is_difference else _VALUE
    value, low, high, number = (own.get((method, figure), {}).get(name) for name in names)
    if value is None:
        return ""
    interval = (
        "" if low is None or high is None else f" [{', '.join(figure_texts(figure, (low, high), is_difference))}]"
    )
    total = own.get((method, "mean_class_accuracy"), {}).get(names[-1])  # every model has one
    partial = "" if number is None or total is None else partial_text(int(number), int(total))
    return f"{figure_texts(figure, [value], is_difference)[0]}{interval}{partial}"


def figure_texts(figure: str, values: Sequence[float], is_signed: bool) -> list[str]:
    """Values of a figure of `comparison_rows`: shares in percent with one decimal, areas with three.

    Example:
      >>> figure_texts("recall/DF", [0.2, -0.05], is_signed=True)
      ['+20.0', '-5.0']
    """
    scale, decimals = (1, 3) if is_auc(figure) else (100, 1)
    return [rounded_text(scale * value, decimals, is_signed) for value in values]
