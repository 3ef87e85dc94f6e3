import dataclasses

import numpy as np
import pytest

from care_tf.errors import InputError
from care_tf.evaluation._comparison_cells import CellKey, CellPredictions, MethodSpec, checked_cells
from care_tf.evaluation._method_comparison import compare_methods

METHODS = [MethodSpec("ce", "Cross entropy"), MethodSpec("care", "CARE", "ce")]
PROBABILITIES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])


def _cell(method="ce", fold="0", seed=0, **changes):
    cell = CellPredictions(
        method, fold, seed, ("c", "a", "b"), np.array([0, 1, 0]), PROBABILITIES, ("p", "q", "p"), np.array([0.5, 1, 0])
    )
    return dataclasses.replace(cell, **changes)


# identities


def test_images_come_in_the_order_of_their_names():
    found = checked_cells(METHODS, [_cell()], ["NV", "DF"])["ce", CellKey("0", 0)]
    assert found.image_names.tolist() == ["a", "b", "c"]
    assert found.labels.tolist() == [1, 0, 0]
    assert found.probabilities.tolist() == PROBABILITIES[[1, 2, 0]].tolist()
    assert found.groups.tolist() == ["q", "p", "p"]
    assert found.attention_inside.tolist() == [1, 0, 0.5]


def test_cells_come_by_method_fold_and_seed():
    cells = [_cell("care"), _cell(seed=1), _cell(fold="1", groups=None), _cell()]
    keys = list(checked_cells(METHODS, cells, ["NV", "DF"]))
    assert keys == [("ce", ("0", 0)), ("ce", ("0", 1)), ("ce", ("1", 0)), ("care", ("0", 0))]


# edges


def test_without_groups_every_image_is_its_own():
    found = checked_cells(METHODS, [_cell(groups=None)], ["NV", "DF"])["ce", CellKey("0", 0)]
    assert found.groups.tolist() == found.image_names.tolist()


def test_without_attention_all_of_it_is_undefined():
    found = checked_cells(METHODS, [_cell(attention_inside=None)], ["NV", "DF"])["ce", CellKey("0", 0)]
    assert np.isnan(found.attention_inside).all() and len(found.attention_inside) == 3


def test_folds_that_share_a_group_are_reported():
    with pytest.warns(UserWarning, match="group 'q' is in folds 0 and 1: .* too narrow. Split by group") as caught:
        compare_methods(METHODS, [_cell(), _cell(fold="1", groups=("r", "q", "s"))], ["NV", "DF"], 3)
    assert [warning.filename for warning in caught] == [__file__]


# errors


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([], "at least one cell. Received: none"),
        ([_cell("focal")], r"Cells must be of the methods \['ce', 'care'\]. Received: cells of \['focal'\]"),
        ([_cell(), _cell()], r"one cell per fold and seed. Received: two of ce \(fold 0, seed 0\)"),
        (
            [_cell(seed=3), _cell("care", image_names=("c", "a", "x"))],
            r"other image_names in care \(fold 0, seed 0\) than in ce \(fold 0, seed 3\): 2 images .* such as 'b'",
        ),
        (
            [_cell(), _cell("care", labels=np.array([0, 1, 1]))],
            r"other labels in care \(fold 0, seed 0\) than in ce \(fold 0, seed 0\): image 'b' has 1 and 0",
        ),
        (
            [_cell(), _cell(seed=1, groups=("p", "q", "q"))],
            r"other groups in ce \(fold 0, seed 1\) than in ce \(fold 0, seed 0\): image 'b' has q and p",
        ),
        ([_cell(), _cell(seed=1, groups=None)], "other groups in ce .*: image 'a' has a and q"),
        (
            [_cell(), _cell("care", image_names=("c", "a"), labels=np.array([0, 1]), probabilities=PROBABILITIES[:2],
                            groups=("p", "q"), attention_inside=None)],
            "other image_names in care .* 1 images are in one of them only, such as 'b'",
        ),
        (
            [_cell("care", seed=2, probabilities=np.ones((3, 4)))],
            r"Cell care \(fold 0, seed 2\): probabilities must be \(images, classes\) = \(3, 2\). .* shape \(3, 4\)",
        ),
        ([_cell(probabilities=PROBABILITIES * np.nan)], r"Cell ce \(fold 0, seed 0\): probabilities must be finite"),
        ([_cell(labels=np.array([0, 1, 2]))], r"Cell ce .* labels must lie in \[0, 2\). Received: 2 at image 2"),
        ([_cell(groups=("p", "", "q"))], "Cell ce .* Every image needs a group"),
        ([_cell(attention_inside=np.array([0, 0, 1.5]))], "Cell ce .* attention_inside must be a share"),
        ([_cell(image_names=("c", "a"))], "Cell ce .* must be 3 different names, one per image. Received: 2 names"),
        ([_cell(image_names=("c", "a", "a"))], "Received: 3 names, 2 of them different"),
    ],
)  # fmt: skip
def test_cells_that_cannot_be_compared_are_refused(cells, message):
    with pytest.raises(InputError, match=message):
        checked_cells(METHODS, cells, ["NV", "DF"])


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ([METHODS[1]], r"must be another of the methods \['care'\]. Received: 'ce' as the baseline of 'care'"),
        ([MethodSpec("ce", "Cross entropy", "ce")], "Received: 'ce' as the baseline of 'ce'"),
        ([METHODS[0], METHODS[0]], r"Names of methods must differ. Received: \['ce', 'ce'\]"),
    ],
)
def test_methods_that_cannot_be_compared_are_refused(methods, message):
    with pytest.raises(InputError, match=message):
        checked_cells(methods, [_cell()], ["NV", "DF"])
