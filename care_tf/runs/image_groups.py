"""Which group and pair every image of a comparison is in, by columns of its manifest."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from care_tf.data import Manifest, read_manifest
from care_tf.data.groups import groups_or_none
from care_tf.errors import InputError
from care_tf.evaluation import flip_rate, group_scores
from care_tf.runs._run_groups import GroupColumns
from care_tf.runs._training_rows import select_rows

if TYPE_CHECKING:
    from care_tf.runs.comparison_plan import Cell


@dataclasses.dataclass(frozen=True)
class ImageGroups:
    """What two columns of a manifest say of its images.

    Attributes:
      group: Image, as predictions.csv names it -> its group.
      pair: Image -> its pair, "" where it is in none; None where no pairs were named.
    """

    group: Mapping[str, str]
    pair: Mapping[str, str] | None = None

    def groups_of(self, images: Sequence[str]) -> list[str]:
        """The groups of some images."""
        return _looked_up(self.group, images)

    def pairs_of(self, images: Sequence[str]) -> list[str] | None:
        """The pairs of some images; None where no pairs were named."""
        return None if self.pair is None else _looked_up(self.pair, images)


def read_image_groups(cells: "Sequence[Cell]", group: str | None, pairs: str | None = None) -> ImageGroups | None:
    """The groups and pairs of all images of a comparison, checked on what its cells test, trained or not.

    Args:
      cells: Of `plan_cells`.
      group: Column of the manifest, such as "cue"; None: no groups.
      pairs: Column of the manifest, such as "pair"; None: no pairs.

    Raises:
      InputError: A column is not there, an image tested is in no group, or the pairs are none.
    """
    columns = GroupColumns(group, pairs)
    if columns.group is None:
        return None
    data = cells[0].config.data
    inputs = list(dict.fromkeys([*columns.names, *(name for cell in cells for name in cell.config.data.inputs)]))
    rows = read_manifest(data.manifest, class_names=data.class_names, inputs=inputs, check_images=False)
    tested = {cell.config.data.test: select_rows(rows, cell.config.data.test, "data.test") for cell in cells}
    for part in tested.values():
        _check(part, columns)
    if columns.pairs is not None and not any(any(part.inputs[columns.pairs]) for part in tested.values()):
        raise InputError(
            f"The flip rate needs pairs of images. Received none in the column {columns.pairs} of the images tested "
            f"({data.manifest}). Choose rows such as split test_balanced, or leave the pairs out."
        )
    names = rows.image_names
    found = [dict(zip(names, rows.inputs[name], strict=True)) for name in columns.names]
    return ImageGroups(*found)


def _check(rows: Manifest, columns: GroupColumns) -> None:
    """Refuses before training what the scores would refuse after it."""
    assert columns.group is not None
    groups, lesions = rows.inputs[columns.group], groups_or_none(rows.groups)
    nothing = np.zeros((len(rows), len(rows.class_names)))
    group_scores(rows.labels, nothing, rows.class_names, groups, lesions, num_resamples=1)
    if columns.pairs is not None and any(rows.inputs[columns.pairs]):
        flip_rate(nothing, rows.inputs[columns.pairs], groups, lesions, num_resamples=1)


def _looked_up(column: Mapping[str, str], images: Sequence[str]) -> list[str]:
    missing = list(itertools.islice((image for image in images if image not in column), 1))
    if missing:
        raise InputError(
            f"Every image of a comparison must be in its manifest. Received {missing[0]}, which is no longer in it. "
            "Evaluate with the manifest that was tested on."
        )
    return [column[image] for image in images]
