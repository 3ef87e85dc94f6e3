"""What a run does in groups of images, named by a column of the manifest: figures for metrics.json, and as text."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from care_tf.data.groups import groups_or_none
from care_tf.data.manifest import COLUMNS
from care_tf.data.noted_columns import CUE
from care_tf.errors import InputError
from care_tf.evaluation import FEW_IMAGES, GroupScores, flip_rate, group_differences, group_scores
from care_tf.evaluation.estimate_text import estimate_text
from care_tf.evaluation.pictures import shortened
from care_tf.evaluation.scores import Estimate
from care_tf.runs._run_predictions import EvaluatedRun


@dataclasses.dataclass(frozen=True)
class GroupColumns:
    """Columns of the manifest.

    Attributes:
      group: Says of every image which group it is in, such as "cue"; None: no groups.
      pairs: Names the pairs of images that differ in the group; None: no flip rate.
    """

    group: str | None = None
    pairs: str | None = None

    def __post_init__(self) -> None:
        if self.pairs is not None and self.group is None:
            raise InputError(
                f"Pairs differ in a group. Received the pairs {self.pairs} and no group. Name its column, too."
            )
        if known := [name for name in self.names if name in COLUMNS]:
            raise InputError(
                f"A column of groups or pairs must be one that says more than {', '.join(COLUMNS)}. "
                f"Received {', '.join(known)}. Choose another, such as {CUE}."
            )

    @property
    def names(self) -> list[str]:
        """What must be read of the manifest."""
        return [name for name in (self.group, self.pairs) if name is not None]


@dataclasses.dataclass(frozen=True)
class GroupFigures:
    """What runs do in groups of images.

    Attributes:
      own, baseline: What metrics.json keeps of the run, and of its baseline; None where there is none.
      differences: Run minus baseline, of `group_differences`.
      text: The same as lines.
    """

    own: dict[str, Any] | None = None
    baseline: dict[str, Any] | None = None
    differences: Mapping[str, Estimate] = dataclasses.field(default_factory=dict)
    text: str = ""


def group_figures(
    own: EvaluatedRun, baseline: EvaluatedRun | None, columns: GroupColumns, num_resamples: int
) -> GroupFigures:
    """Recall in every group, the worst, and the flip rate where pairs are named; nothing where no group is.

    Args:
      own: The run.
      baseline: Another run on the same images, or None.
      columns: What the groups and pairs are.
      num_resamples: Bootstrap resamples over lesions.

    Raises:
      InputError: An image is in no group, or the pairs are none.
    """
    if columns.group is None:
        return GroupFigures()
    found = [_scored(each, columns, num_resamples) for each in (own, baseline) if each is not None]
    differences = {} if baseline is None else _differences(own, baseline, columns, num_resamples)
    text = _text(found, differences, [each.run.folder.name for each in (own, baseline) if each is not None], columns)
    kept = [each.to_dict(columns) for each in found]
    return GroupFigures(kept[0], kept[1] if baseline is not None else None, differences, text)


@dataclasses.dataclass(frozen=True)
class _Scored:
    scores: GroupScores
    flip_rate: Estimate | None

    def to_dict(self, columns: GroupColumns) -> dict[str, Any]:
        figures = {"column": columns.group, "scores": self.scores.to_dict()}
        return figures if self.flip_rate is None else {**figures, "flip_rate": dataclasses.asdict(self.flip_rate)}


def _scored(run: EvaluatedRun, columns: GroupColumns, num_resamples: int) -> _Scored:
    probabilities, rows = run.predictions.probabilities, run.rows
    groups, lesions = rows.inputs[columns.group or ""], groups_or_none(rows.groups)
    pairs = None if columns.pairs is None else rows.inputs[columns.pairs]
    scores = group_scores(rows.labels, probabilities, rows.class_names, groups, lesions, pairs, num_resamples)
    if pairs is None:
        return _Scored(scores, None)
    return _Scored(scores, flip_rate(probabilities, pairs, groups, lesions, num_resamples))


def _differences(
    own: EvaluatedRun, baseline: EvaluatedRun, columns: GroupColumns, num_resamples: int
) -> dict[str, Estimate]:
    rows = own.rows
    return group_differences(
        rows.labels,
        baseline.predictions.probabilities,
        own.predictions.probabilities,
        rows.class_names,
        rows.inputs[columns.group or ""],
        groups_or_none(rows.groups),
        None if columns.pairs is None else rows.inputs[columns.pairs],
        num_resamples,
    )


def _text(
    found: Sequence[_Scored], differences: Mapping[str, Estimate], names: Sequence[str], columns: GroupColumns
) -> str:
    """A line for each figure: of the run, of its baseline, their difference, and how many images it is of."""

    def line(title: str, name: str, estimates: Sequence[Estimate | None], counts: str = "") -> str:
        shown = [*estimates, *([differences[name]] if name in differences else [])]
        return f"{f'  {title}':40}{''.join(f'{estimate_text(each):24}' for each in shown)}{counts}".rstrip()

    heads = [f"{shortened(name, 22):24}" for name in (*names, "difference")] if differences else []
    lines = [f"{f'{names[0]}, by {columns.group}':40}{''.join(heads)}".rstrip()]
    for cells in zip(*(each.scores.cells for each in found), strict=True):
        own = cells[0]
        title, name = f"recall of {own.class_name}, {own.group}", f"group_recall/{own.class_name}/{own.group}"
        counts = f"{' and '.join(str(cell.num_correct) for cell in cells)} of {own.num_images}"
        lines.append(line(title, name, [cell.recall for cell in cells], counts))
    for group in found[0].scores.mean_class_accuracy:
        means = [each.scores.mean_class_accuracy[group] for each in found]
        lines.append(line(f"mean class accuracy, {group}", f"group_mean_class_accuracy/{group}", means))
    lines.append(
        line("lowest recall of a class in a group", "worst_group_recall", [each.scores.worst for each in found])
    )
    if columns.pairs is not None:
        lines.append(line("pairs whose call changes", "flip_rate", [each.flip_rate for each in found]))
    few = [f"{cell.class_name}, {cell.group}" for cell in found[0].scores.cells if cell.num_images < FEW_IMAGES]
    if few:
        lines.append(
            f"  fewer than {FEW_IMAGES} images, so that one changes the recall by more than {100 // FEW_IMAGES} "
            f"points: {'; '.join(few)}"
        )
    return "\n".join(lines)
