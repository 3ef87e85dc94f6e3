"""What a run does in groups of images, named by a column of the manifest: figures for metrics.json, and as text."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from care_tf.data.groups import groups_or_none
from care_tf.data.manifest import COLUMNS
from care_tf.data.noted_columns import CUE
from care_tf.errors import InputError
from care_tf.evaluation import flip_rate, group_scores
from care_tf.evaluation.estimate_text import estimate_text
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


def group_figures(run: EvaluatedRun, columns: GroupColumns, num_resamples: int) -> tuple[dict[str, Any], str]:
    """Recall in every group, the worst, and the flip rate where pairs are named.

    Returns:
      What metrics.json keeps, and the same as lines of text.

    Raises:
      InputError: An image is in no group, or the pairs are none.
    """
    assert columns.group is not None
    probabilities, lesions = run.predictions.probabilities, groups_or_none(run.rows.groups)
    groups = run.rows.inputs[columns.group]
    scores = group_scores(run.rows.labels, probabilities, run.rows.class_names, groups, lesions, num_resamples)
    figures: dict[str, Any] = {"column": columns.group, "scores": scores.to_dict()}
    lines = [f"{run.run.folder.name}, by {columns.group}"]
    for cell in scores.cells:
        title = f"  recall of {cell.class_name}, {cell.group}"
        lines.append(f"{title:40}{estimate_text(cell.recall):24}{cell.num_correct} of {cell.num_images}")
    for name, estimate in scores.mean_class_accuracy.items():
        lines.append(f"{f'  mean class accuracy, {name}':40}{estimate_text(estimate)}")
    lines.append(f"{'  lowest recall of a class in a group':40}{estimate_text(scores.worst)}")
    if columns.pairs is not None:
        rate = flip_rate(probabilities, run.rows.inputs[columns.pairs], groups, lesions, num_resamples)
        figures["flip_rate"] = dataclasses.asdict(rate)
        lines.append(f"{'  pairs whose call changes':40}{estimate_text(rate)}")
    return figures, "\n".join(line.rstrip() for line in lines)


def all_group_figures(
    runs: Sequence[EvaluatedRun | None], columns: GroupColumns, num_resamples: int
) -> tuple[list[dict[str, Any]], str]:
    """`group_figures` of each run there is; nothing where no group is named."""
    if columns.group is None:
        return [], ""
    found = [group_figures(run, columns, num_resamples) for run in runs if run is not None]
    return [figures for figures, _ in found], "\n".join(text for _, text in found)
