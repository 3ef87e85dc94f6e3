"""The paper's tables as comparisons, and its numbers beside ours."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from care_tf.evaluation.estimate_text import PARTIAL_NOTE, partial_text

# A table's columns, as the figures of a comparison; recall and AUC are those of the rarest class.
_COLUMNS = {"mean_class_accuracy": "MCA, %", "recall/": "recall, %", "auc/": "AUC"}
UNPUBLISHED = (None, None, None)
"""The row of a method that the paper does not have."""


@dataclasses.dataclass(frozen=True)
class PaperTable:
    """A table of the paper on one data set, or the comparison behind a figure.

    Attributes:
      title: What it shows.
      configs: The configurations of its rows, without the data set's name.
      varied, fixed: As for `read_methods`.
      rows: Method -> (mean class accuracy in %, recall of the rarest class in %, AUC); None where the paper has
        none.
      differs: What differs from the paper, for people.
    """

    title: str
    configs: tuple[str, ...]
    rows: Mapping[str, tuple[float | None, float | None, float | None]]
    varied: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    fixed: tuple[str, ...] = ()
    differs: str = "Folds grouped by lesion or patient; the paper splits images."


def _sweep(key: str, values: Sequence[str], accuracies: Sequence[float]) -> Any:
    short = key.rpartition(".")[2]
    return {f"care_csl@{short}={value}": (mca, None, None) for value, mca in zip(values, accuracies, strict=True)}


_METHODS = ("baseline", "care", "csl", "care_csl", "focal", "care_focal", "augmentation", "care_augmentation")
_BACKBONES = ("resnet18", "resnet50", "resnet152", "vgg19")
_ALPHA, _TAU, _LAM = ("0", ".1", ".3", ".5", ".7", ".9"), (".2", ".4", ".5", ".7", "1"), (".7", "1.0", "1.3")
_BOXES = tuple(f"data/isic2018/boxes_{method}.csv" for method in ("dsr", "segmentation"))


def _backbones(*figures: tuple[float, float, float]) -> Any:
    names = [f"{method}@backbone={name}" for name in _BACKBONES for method in ("csl", "care_csl")]
    return dict(zip(names, figures, strict=True))


# Zhuang et al. 2023. Where two of its tables disagree, the row is the table's own (docs/reproduction.md lists them).
TABLES: dict[tuple[str, str], PaperTable] = {
    ("table2", "isic2018"): PaperTable(
        "CARE with every imbalance strategy",
        _METHODS,
        {
            "baseline": (74.1, 52.2, 0.962),
            "care": (78.2, 73.9, 0.973),
            "csl": (77.2, 56.5, 0.981),
            "care_csl": (81.0, 65.2, 0.986),
            "focal": (71.5, 52.2, 0.918),
            "care_focal": (73.9, 60.9, 0.933),
            "augmentation": (54.4, 56.6, 0.862),
            "care_augmentation": (56.2, 60.3, 0.885),
        },
    ),
    ("table2", "rsna"): PaperTable(
        "CARE with every imbalance strategy",
        _METHODS,
        {
            "baseline": (56.8, 7.4, 0.663),
            "care": (63.3, 31.1, 0.741),
            "csl": (57.9, 11.1, 0.704),
            "care_csl": (65.2, 45.0, 0.769),
            "focal": (58.4, 11.1, 0.758),
            "care_focal": (66.7, 49.4, 0.769),
            "augmentation": (59.6, 20.1, 0.805),
            "care_augmentation": (66.0, 45.2, 0.796),
        },
    ),
    ("table3", "isic2018"): PaperTable(
        "CARE after other strategies of stage 1",
        ("siamese", "siamese_care", "decouple", "decouple_care"),
        {
            "siamese": (56.9, 21.7, None),
            "siamese_care": (68.9, 65.2, None),
            "decouple": (73.9, 65.2, None),
            "decouple_care": (78.3, 73.9, None),
        },
    ),
    ("table4", "isic2018"): PaperTable(
        "CARE + CSL on four backbones",
        ("csl", "care_csl"),
        _backbones(
            *((74.1, 60.9, 0.990), (76.2, 73.9, 0.969)),
            *((77.7, 56.5, 0.953), (81.0, 65.2, 0.986)),
            *((80.5, 61.9, 0.914), (81.9, 72.2, 0.966)),
            *((70.2, 47.8, 0.881), (72.8, 56.5, 0.933)),
        ),
        {"model.backbone": _BACKBONES},
    ),
    ("table4", "rsna"): PaperTable(
        "CARE + CSL on four backbones",
        ("csl", "care_csl"),
        _backbones(
            *((57.8, 15.2, 0.581), (58.8, 25.5, 0.710)),
            *((57.9, 11.1, 0.704), (65.2, 45.0, 0.769)),
            *((59.1, 11.4, 0.747), (63.8, 31.3, 0.749)),
            *((61.7, 25.8, 0.873), (64.3, 41.2, 0.871)),
        ),
        {"model.backbone": _BACKBONES},
    ),
    ("table5", "isic2018"): PaperTable(
        "The weight alpha of the attention loss",
        ("csl", "care_csl"),
        _sweep("stages.finetune.alpha", _ALPHA, (77.7, 78.8, 79.9, 80.3, 80.2, 80.2)),
        {"stages.finetune.alpha": _ALPHA},
        fixed=("csl",),
    ),
    ("table6", "isic2018"): PaperTable(
        "The cap tau of the attention inside the box",
        ("csl", "care_csl"),
        {"csl": (None, None, None)} | _sweep("care.tau", _TAU, (79.1, 78.8, 81.0, 80.2, 79.6)),
        {"care.tau": _TAU},
    ),
    ("table7", "isic2018"): PaperTable(
        "The weight lambda of the attention outside the box",
        ("csl", "care_csl"),
        {"csl": (75.9, None, None)} | _sweep("care.lam", _LAM, (79.95, 80.6, 79.94)),
        {"care.lam": _LAM},
    ),
    ("table8", "isic2018"): PaperTable(
        "CARE with drawn boxes and with made ones",
        ("baseline", "care", "care_boxes_dsr", "care_boxes_segmentation"),
        {
            "baseline": (74.13, 52.17, None),
            "care": (78.17, 73.91, None),
            "care_boxes_dsr": (77.02, 65.22, None),
            "care_boxes_segmentation": (75.61, 60.87, None),
        },
        differs="Folds grouped by lesion. DSR's boxes at its own threshold, not 0.5.",
    ),
    ("table9", "isic2018"): PaperTable(
        "CARE with made boxes beside CSL and FL",
        ("csl", "care_csl", "focal", "care_focal"),
        {
            "csl": (77.7, 56.5, None),
            "care_csl@train_boxes=boxes_dsr": (80.2, 78.3, None),
            "care_csl@train_boxes=boxes_segmentation": (81.4, 86.7, None),
            "focal": (72.0, 52.2, None),
            "care_focal@train_boxes=boxes_dsr": (72.3, 60.9, None),
            "care_focal@train_boxes=boxes_segmentation": (74.6, 82.6, None),
        },
        {"data.train_boxes": _BOXES},
        differs="Folds grouped by lesion. DSR's boxes at its own threshold, not 0.5.",
    ),
    ("table10", "isic2018"): PaperTable(
        "Boxes for one, two and three rare classes",
        ("csl", "care_csl", "masks_df_vasc", "masks_df_vasc_akiec"),
        {
            "csl": (77.69, None, None),
            "care_csl": (81.35, 86.96, None),
            "masks_df_vasc": (80.51, 82.61, None),
            "masks_df_vasc_akiec": (80.28, 69.57, None),
        },
        differs="Folds grouped by lesion. Boxes of the lesion masks; the paper's are DeepLabV3's (row DF: Table 9).",
    ),
}


def beside_paper(table: PaperTable, rows: Sequence[Mapping[str, Any]], rarest: str) -> str:
    """The paper's numbers beside ours, as Markdown.

    A recall is followed by its precision and by the difference in recall at equal calls, which the paper does not have.

    Args:
      table: The paper's table.
      rows: Of `comparison_rows`.
      rarest: The class whose recall and AUC the paper gives.

    Returns:
      A row per method: each number of the paper, ours with its interval, and ours minus its baseline's, paired.
    """
    own = {(row["method"], row["figure"]): row for row in rows}
    published = {name: [line[column] for line in table.rows.values()] for column, name in enumerate(_COLUMNS)}
    shown = [name for name in _COLUMNS if any(value is not None for value in published[name])]
    header = ["method"]
    for name in shown or ["mean_class_accuracy"]:
        header += [f"paper's {_COLUMNS[name]}", "ours", "difference"]
        header += ["at equal calls", "precision, %"] if name == "recall/" else []
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    for place, method in enumerate(table.rows):
        cells = [method]
        for name in shown or ["mean_class_accuracy"]:
            value, figure = published[name][place], f"{name}{rarest}" if name.endswith("/") else name
            cells += ["" if value is None else f"{value:g}"]
            cells += [_text(own, method, figure), _text(own, method, figure, is_difference=True)]
            if name == "recall/":
                cells.append(_text(own, method, f"recall_at_equal_calls/{rarest}", is_difference=True))
                cells.append(_text(own, method, f"precision/{rarest}"))
        lines.append(f"| {' | '.join(cells)} |")
    if "recall/" not in shown:  # the paper gives the mean alone; what happens to the rare class is told all the same
        lines += ["", _rare_class(table, own, rarest)]
    text = "\n".join([*lines, "", f"What differs from the paper: {table.differs}"])
    return f"{text}\n\n{PARTIAL_NOTE}" if re.search(r"\(\d+ of \d+\)", text) else text


_VALUE = ("value", "low", "high", "num_cells")
_DIFFERENCE = ("difference", "difference_low", "difference_high", "difference_num_cells")
_Own = Mapping[tuple[str, str], Mapping[str, Any]]
"""Method and figure -> its row of `comparison_rows`."""


def _rare_class(table: PaperTable, own: _Own, rarest: str) -> str:
    """What the paper's table leaves out: the rarest class's recall, with its precision and at equal calls."""
    header = ["method", f"recall of {rarest}, %", "difference", "at equal calls", "precision, %", "average precision"]
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    for method in table.rows:
        recall, equal, *others = (
            f"{name}/{rarest}" for name in ("recall", "recall_at_equal_calls", "precision", "average_precision")
        )
        differences = [_text(own, method, figure, is_difference=True) for figure in (recall, equal)]
        cells = [method, _text(own, method, recall), *differences, *(_text(own, method, figure) for figure in others)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _text(own: _Own, method: str, figure: str, is_difference: bool = False) -> str:
    """A figure with its interval, a share in percent, and of how many models where not all have it; "" for none."""
    names, sign = (_DIFFERENCE, "+") if is_difference else (_VALUE, "")
    value, low, high, number = (own.get((method, figure), {}).get(name) for name in names)
    if value is None:
        return ""
    is_share = not figure.startswith(("auc/", "average_precision/"))
    scale, form = (100, f"{sign}.1f") if is_share else (1, f"{sign}.3f")
    interval = "" if low is None or high is None else f" [{scale * low:{form}}, {scale * high:{form}}]"
    total = own.get((method, "mean_class_accuracy"), {}).get(names[-1])  # every model has one
    partial = "" if number is None or total is None else partial_text(int(number), int(total))
    return f"{scale * value:{form}}{interval}{partial}"
