import dataclasses
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from care_tf.errors import InputError
from care_tf.evaluation import flip_rate, group_differences, group_scores
from care_tf.evaluation._comparison_cells import CellKey, CellPredictions, MethodSpec
from care_tf.evaluation._method_comparison import compare_methods, focus_figures
from care_tf.evaluation.headline import estimate_of
from care_tf.evaluation.lesion_figures import LESION_FIGURES
from care_tf.evaluation.scores import Estimate, evaluate_predictions, paired_difference

NAMES = ["NV", "MEL", "DF"]
METHODS = [MethodSpec("ce", "Cross entropy"), MethodSpec("care", "CARE", "ce")]
NO_ESTIMATE = Estimate(None, None, None)


def _cell(method="ce", fold="0", seed=0, n=45, labels=None):
    """A model's predictions; labels, groups and boxes depend on the fold alone, and two images share a group."""
    rng = np.random.default_rng([ord(fold), n])
    labels = rng.permutation(np.repeat([0, 1, 2], [n - n // 3 - n // 5, n // 3, n // 5])) if labels is None else labels
    groups = [f"{fold}-{i // 2}" for i in range(n)]
    rng = np.random.default_rng([ord(fold), seed, *map(ord, method)])
    logits = rng.normal(size=(n, 3)) + 0.8 * np.eye(3)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    share = np.where(labels == 2, rng.uniform(size=n), np.nan)
    return CellPredictions(
        method, fold, seed, tuple(f"{fold}/{i:03d}" for i in range(n)), labels, probabilities, groups, share
    )


def _cells(methods=("ce", "care"), folds=("0", "1"), seeds=(0, 1)):
    return [_cell(method, fold, seed) for method in methods for fold in folds for seed in seeds]


def _compare(cells, methods=METHODS, **arguments):
    return compare_methods(methods, cells, NAMES, **{"num_resamples": 40, **arguments})


def _permuted(cell, rng):
    order = rng.permutation(len(cell.labels))
    return dataclasses.replace(
        cell,
        image_names=tuple(cell.image_names[i] for i in order),
        labels=cell.labels[order],
        probabilities=cell.probabilities[order],
        groups=None if cell.groups is None else [cell.groups[i] for i in order],
        attention_inside=cell.attention_inside[order],
    )


# oracle


def _slow_figures(labels, probabilities, share):
    """The definitions, one by one; a class that is absent has no figure."""
    figures, predicted = {}, probabilities.argmax(axis=1)
    for index, name in enumerate(NAMES):
        is_member = labels == index
        if is_member.any():
            figures[f"recall/{name}"] = np.mean(predicted[is_member] == index)
            if not is_member.all():
                figures[f"auc/{name}"] = roc_auc_score(is_member, probabilities[:, index])
        if not np.isnan(share[is_member]).all():
            figures[f"attention_inside/{name}"] = np.nanmean(share[is_member])
    figures["mean_class_accuracy"] = np.mean([v for k, v in figures.items() if k.startswith("recall/")])
    figures["macro_auc"] = np.mean([v for k, v in figures.items() if k.startswith("auc/")])
    if not np.isnan(share).all():
        figures["attention_inside"] = np.nanmean(share)
    return figures


def _slow_comparison(cells, num_resamples, seed):
    """Name -> 1 + num_resamples means over cells: groups of a fold drawn once for all of its cells."""
    totals = [{} for _ in range(1 + num_resamples)]
    for number, fold in enumerate(sorted({cell.fold for cell in cells})):
        of_fold = [cell for cell in cells if cell.fold == fold]
        groups = sorted(set(of_fold[0].groups))
        stream = seed if number == 0 else int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0])
        draws = np.random.default_rng(stream).multinomial(
            len(groups), [1 / len(groups)] * len(groups), size=num_resamples
        )
        for cell in of_fold:
            for row, draw in enumerate([np.ones(len(groups), int), *draws]):
                images = [
                    i for i, g in enumerate(cell.groups) for _ in range(draw[groups.index(g)])
                ]  # an image as often as its group
                arrays = (values[images] for values in (cell.labels, cell.probabilities, cell.attention_inside))
                for name, value in _slow_figures(*arrays).items():
                    totals[row].setdefault(name, []).append(value)
    return {name: [np.mean(row[name]) if name in row else np.nan for row in totals] for name in totals[0]}


def test_values_and_intervals_equal_a_direct_computation():
    cells = _cells()
    comparison = _compare(cells, num_resamples=15, seed=3)
    slow = {method: _slow_comparison([c for c in cells if c.method == method], 15, 3) for method in ("ce", "care")}
    assert len(slow["ce"]) == 10  # NV and MEL have no boxes
    for method in ("ce", "care"):
        for name, (value, *replicates) in slow[method].items():
            found = comparison.method(method).figures[name].mean
            expected = (value, *np.nanpercentile(replicates, [2.5, 97.5]))
            assert dataclasses.astuple(found) == pytest.approx(expected), name
    for name in slow["ce"]:
        value, *replicates = np.subtract(slow["care"][name], slow["ce"][name])
        found = comparison.method("care").differences[name].mean
        assert dataclasses.astuple(found) == pytest.approx((value, *np.nanpercentile(replicates, [2.5, 97.5]))), name


def test_interval_covers_the_truth_about_as_often_as_it_says():
    """Recall 0.7 in one class of two folds of 40 independent images: 95 % intervals of 60 experiments."""
    hits = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        cells = [
            CellPredictions("ce", fold, 0, tuple(f"{fold}{i}" for i in range(40)), np.ones(40, int), predicted)
            for fold in "01"
            for predicted in [np.eye(2)[(rng.uniform(size=40) < 0.7).astype(int)]]
        ]
        recall = compare_methods(METHODS[:1], cells, ["a", "b"], 200, seed).methods[0].figures["recall/b"].mean
        hits += recall.low <= 0.7 <= recall.high
    assert 51 <= hits <= 60


# identities


@pytest.mark.parametrize("has_groups", [True, False])
def test_one_fold_and_one_seed_equal_the_scores_of_a_run(has_groups):
    cells = [dataclasses.replace(c, groups=c.groups if has_groups else None) for c in _cells(folds="0", seeds=(7,))]
    comparison = _compare(cells, num_resamples=120, seed=5)
    arguments = {"groups": cells[0].groups, "num_resamples": 120, "seed": 5}
    for cell in cells:
        scores = evaluate_predictions(
            cell.labels, cell.probabilities, NAMES, attention_inside=cell.attention_inside, **arguments
        )
        for name, figure in comparison.method(cell.method).figures.items():
            if name.startswith("recall_at_equal_calls/"):  # a difference alone
                assert figure.mean == NO_ESTIMATE
            else:
                assert figure.mean == estimate_of(scores, name), name
    baseline, care = cells
    expected = paired_difference(
        care.labels, baseline.probabilities, care.probabilities, NAMES,
        baseline_attention_inside=baseline.attention_inside, attention_inside=care.attention_inside, **arguments,
    )  # fmt: skip
    assert {name: d.mean for name, d in comparison.method("care").differences.items()} == expected


def test_attention_is_compared_where_both_methods_have_it():
    baseline, care = _cells(folds="0", seeds=(0,))
    boxes = np.flatnonzero(care.labels == 2)
    shares = [cell.attention_inside.copy() for cell in (baseline, care)]
    shares[0][boxes[:3]] = np.nan
    shares[1][boxes[-2:]] = np.nan
    cells = [dataclasses.replace(c, attention_inside=s) for c, s in zip((baseline, care), shares, strict=True)]
    expected = paired_difference(
        care.labels, baseline.probabilities, care.probabilities, NAMES, care.groups, *shares, num_resamples=40
    )
    comparison = _compare(cells)
    assert {name: d.mean for name, d in comparison.method("care").differences.items()} == expected
    of_all = comparison.method("care").figures["attention_inside"].mean.value
    assert of_all == pytest.approx(np.nanmean(shares[1]))


def test_a_method_does_not_differ_from_itself():
    cells = _cells(["ce"])
    comparison = _compare([*cells, *(dataclasses.replace(cell, method="care") for cell in cells)])
    differences = comparison.method("care").differences
    defined = {name for name, d in differences.items() if d.mean != NO_ESTIMATE}
    has_no_images = {"attention_inside/NV", "attention_inside/MEL"}
    has_no_images |= {f"{figure}/{name}" for figure in LESION_FIGURES for name in NAMES}
    assert defined == set(differences) - has_no_images
    assert {differences[name].mean for name in defined} == {Estimate(0.0, 0.0, 0.0)}
    assert {(d.minimum, d.maximum) for name, d in differences.items() if name in defined} == {(0.0, 0.0)}


def test_range_is_of_the_cells_own_figures():
    comparison = _compare(_cells())
    for method in comparison.methods:
        alone = {
            cell.key: evaluate_predictions(cell.labels, cell.probabilities, NAMES, num_resamples=1).macro_auc.value
            for cell in _cells([method.spec.name])
        }
        figure = method.figures["macro_auc"]
        assert figure.by_cell == alone and figure.num_cells == 4
        assert (figure.minimum, figure.maximum) == (min(alone.values()), max(alone.values()))
    gains = comparison.method("care").differences["macro_auc"].by_cell
    ce, care = (method.figures["macro_auc"].by_cell for method in comparison.methods)
    assert gains == {key: care[key] - ce[key] for key in ce}


# properties


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_order_of_cells_and_of_images_changes_nothing(seed, has_groups):
    cells = [dataclasses.replace(cell, groups=cell.groups if has_groups else None) for cell in _cells()]
    rng = np.random.default_rng(seed)
    shuffled = [_permuted(cells[i], rng) for i in rng.permutation(len(cells))]
    assert _compare(shuffled, num_resamples=5) == _compare(cells, num_resamples=5)


def test_pairing_narrows_the_interval():
    cells = _cells(["ce"])
    nudged = [
        dataclasses.replace(c, method="care", probabilities=c.probabilities + 0.03 * np.eye(3)[c.labels]) for c in cells
    ]
    care = _compare([*cells, *nudged], num_resamples=200).method("care")
    difference, alone = care.differences["mean_class_accuracy"].mean, care.figures["mean_class_accuracy"].mean
    assert difference.high - difference.low < 0.5 * (alone.high - alone.low)


def test_more_folds_narrow_the_interval_and_more_seeds_of_equal_models_do_not():
    one, seeds, folds = (
        _compare(cells, num_resamples=200).methods[0].figures["mean_class_accuracy"].mean
        for cells in (
            _cells(["ce"], "0", (0,)),
            [dataclasses.replace(_cell(), seed=seed) for seed in range(4)],
            _cells(["ce"], "0123", (0,)),
        )
    )
    assert seeds == one
    assert folds.high - folds.low < 0.75 * (one.high - one.low)


def test_large_comparison_is_quick():
    methods = [MethodSpec("ce", "Cross entropy"), MethodSpec("care", "CARE", "ce")]
    cells = [_cell(method, fold, n=500) for method in ("ce", "care") for fold in "01"]
    start = time.process_time()
    compare_methods(methods, cells, NAMES, num_resamples=200)
    assert time.process_time() - start < 5  # measured: 0.04 s


# edges


def test_missing_cells_are_left_out_and_counted():
    cells = [cell for cell in _cells() if cell.method == "ce" or cell.fold == "0"]
    cells = [cell for cell in cells if cell != cells[0]]  # ce misses fold 0, seed 0
    comparison = _compare(cells, [*METHODS, MethodSpec("focal", "Focal loss", "ce")])
    ce, care, focal = comparison.methods
    assert [len(method.cells) for method in comparison.methods] == [3, 2, 0]
    assert comparison.cells == (CellKey("0", 0), CellKey("0", 1), CellKey("1", 0), CellKey("1", 1))
    assert care.pairs == (CellKey("0", 1),) and ce.pairs == () and ce.differences == {}
    gain = care.differences["macro_auc"]
    assert gain.num_cells == 1
    assert gain.mean.value == care.figures["macro_auc"].by_cell["0", 1] - ce.figures["macro_auc"].by_cell["0", 1]
    assert comparison.unfinished == ("focal",)
    assert focal.figures.keys() == ce.figures.keys()
    for figure in (focal.figures["macro_auc"], focal.differences["recall/DF"]):
        assert (figure.mean, figure.num_cells, figure.minimum, figure.maximum) == (NO_ESTIMATE, 0, None, None)


def test_methods_without_a_common_cell_have_no_difference():
    care = _compare([_cell("ce", "0"), _cell("care", "1")]).method("care")
    assert care.pairs == () and {d.mean for d in care.differences.values()} == {NO_ESTIMATE}


def test_class_absent_from_a_fold_is_left_out_of_its_mean():
    labels = np.arange(45) % 2
    cells = [_cell("ce", "0"), dataclasses.replace(_cell("ce", "1", labels=labels), attention_inside=None)]
    figures = _compare(cells).methods[0].figures
    for name in ("recall/DF", "auc/DF", "attention_inside"):
        assert list(figures[name].by_cell) == [CellKey("0", 0)]
    assert list(figures["recall/NV"].by_cell) == [CellKey("0", 0), CellKey("1", 0)]


def test_class_with_one_image_is_left_out_of_resamples_without_it():
    labels = np.array([0, 0, 0, 1])
    probabilities = {"0": np.eye(2)[[0, 0, 0, 1]], "1": np.eye(2)[[0, 0, 0, 0]]}
    cells = [CellPredictions("ce", f, 0, tuple(f + x for x in "abcd"), labels, p) for f, p in probabilities.items()]
    figure = compare_methods(METHODS[:1], cells, ["a", "b"], 300).methods[0].figures["recall/b"]
    # Fold 0 always gives 1, fold 1 always 0: their mean where both drew the class, else whichever did.
    assert figure.mean == Estimate(0.5, 0.0, 1.0)


def test_without_any_attention_the_comparison_still_stands():
    cells = [dataclasses.replace(cell, attention_inside=None) for cell in _cells()]
    comparison = _compare(cells)
    care = comparison.method("care")
    assert care.figures["attention_inside"].mean == care.differences["attention_inside/DF"].mean == NO_ESTIMATE
    assert care.differences["macro_auc"].num_cells == 4
    assert not any(name.startswith("attention") for name in focus_figures(comparison, ["DF"]))


def test_figures_in_focus_follow_the_classes_in_focus():
    titles = focus_figures(_compare(_cells()), ["DF", "MEL", "DF"])
    assert titles["attention_inside/DF"] == "DF attention inside"
    assert "attention_inside/MEL" not in titles and len(titles) == 2 + 7 + 6


def test_folds_tell_their_size():
    assert [tuple(fold) for fold in _compare(_cells()).folds] == [("0", 45, 23), ("1", 45, 23)]


# errors


def test_unknown_class_in_focus_is_refused():
    with pytest.raises(InputError, match=r"Classes in focus must be among .* Received: \['XX'\]"):
        focus_figures(_compare(_cells(folds="0")), ["DF", "XX"])


def test_no_resamples_are_refused():
    with pytest.raises(InputError, match="num_resamples must be at least 1. Received: 0"):
        _compare(_cells(), num_resamples=0)


# groups of images


def _grouped(cells, groups=None, pairs=None):
    """Cells with a cue on every other image, and the first 20 images of a fold as ten pairs."""
    changed = []
    for cell in cells:
        n = len(cell.labels)
        own_pairs = [f"{cell.fold}-{i // 2}" if i < 20 else "" for i in range(n)] if pairs is None else pairs
        changed.append(
            dataclasses.replace(
                cell, image_groups=["frame", "none"] * (n // 2) + ["none"] * (n % 2) if groups is None else groups,
                pairs=own_pairs,
            )
        )  # fmt: skip
    return changed


def test_figures_in_groups_are_those_of_each_cell_averaged_and_paired():
    cells = _grouped(_cells())
    found = _compare(cells)
    of_cell = {}
    for cell in cells:
        own = cell.labels, cell.probabilities, NAMES, cell.image_groups, cell.groups
        scores = group_scores(*own, num_resamples=1)
        figures = {f"group_recall/{each.class_name}/{each.group}": each.recall.value for each in scores.cells}
        figures["worst_group_recall"] = min(figures.values())
        figures["flip_rate"] = flip_rate(cell.probabilities, cell.pairs, cell.image_groups, cell.groups, 1).value
        of_cell[cell.method, cell.key] = figures
    for name in of_cell["ce", CellKey("0", 0)]:
        values = {method: {key: f[name] for (m, key), f in of_cell.items() if m == method} for method in ("ce", "care")}
        for method, by_cell in values.items():
            assert found.method(method).figures[name].by_cell == pytest.approx(by_cell)
        difference = found.method("care").differences[name]
        expected = np.mean([values["care"][key] - values["ce"][key] for key in values["ce"]])
        assert difference.mean.value == pytest.approx(expected)
        assert difference.mean.low <= difference.mean.value <= difference.mean.high
    titles = focus_figures(found, ["DF"])
    assert {"worst_group_recall", "group_recall/DF/frame", "flip_rate"} <= set(titles)
    assert "group_recall/NV/frame" not in titles  # of more than two classes those in focus


def test_one_cell_has_the_intervals_of_an_evaluation():
    (own,), (other,) = (_grouped([_cell(method)]) for method in ("care", "ce"))
    found = _compare([other, own]).method("care")
    scores = group_scores(own.labels, own.probabilities, NAMES, own.image_groups, own.groups, num_resamples=40)
    assert found.figures["worst_group_recall"].mean == scores.worst
    probabilities = other.probabilities, own.probabilities
    expected = group_differences(own.labels, *probabilities, NAMES, own.image_groups, own.groups, own.pairs, 40)
    assert {name: found.differences[name].mean for name in expected} == expected


def test_other_figures_do_not_change_with_groups_and_there_are_none_without():
    plain, grouped = _compare(_cells()), _compare(_grouped(_cells()))
    for name, figure in plain.method("care").differences.items():
        assert grouped.method("care").differences[name] == figure
    assert plain.group_sizes == () and not any("group" in name for name in plain.method("ce").figures)


def test_pairs_are_drawn_whole_where_no_lesions_are_known():
    cells = [dataclasses.replace(cell, groups=None) for cell in _grouped([_cell()])]
    found = _compare(cells)
    assert found.folds[0].num_groups == 45 - 10
    assert found.method("ce").figures["flip_rate"].mean.low is not None


def test_a_fold_without_pairs_or_without_a_cell_has_no_such_figure():
    with_pairs, without = _grouped([_cell(fold="0")]), _grouped([_cell(fold="1")], pairs=[""] * 45)
    found = _compare([*with_pairs, *without], METHODS[:1]).method("ce").figures
    assert list(found["flip_rate"].by_cell) == [CellKey("0", 0)]
    rare = ["frame" if label != 2 else "none" for label in _cell().labels]
    comparison = _compare(_grouped([_cell()], groups=rare, pairs=[""] * 45), METHODS[:1])
    assert comparison.method("ce").figures["group_recall/DF/frame"].num_cells == 0
    assert comparison.method("ce").figures["worst_group_recall"].num_cells == 1
    sizes = {(size.class_name, size.group): size.num_images for size in comparison.group_sizes}
    assert sizes["DF", "frame"] == 0 and sizes["DF", "none"] == (np.array(_cell().labels) == 2).sum()


def test_torn_pairs_and_images_without_a_group_are_refused_with_their_cell():
    with pytest.raises(InputError, match=r"Cell ce \(fold 0, seed 0\): The images of a pair must be of one lesion"):
        _compare(_grouped([_cell()], pairs=["", "a", "a"] + [""] * 42), METHODS[:1])
    with pytest.raises(InputError, match="for each of 45 images. Received 45, 45 of them empty"):
        _compare(_grouped([_cell()], groups=[""] * 45), METHODS[:1])
    with pytest.raises(InputError, match="other image_groups in"):
        _compare(
            [*_grouped([_cell()]), *_grouped([_cell(seed=1)], groups=["frame"] * 45, pairs=[""] * 45)], METHODS[:1]
        )
