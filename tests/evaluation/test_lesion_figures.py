"""Figures of images whose lesion was hidden, which images these are, and how scores keep them."""

import json

import numpy as np
import pytest

from care_tf.errors import InputError
from care_tf.evaluation import evaluate_predictions, paired_difference
from care_tf.evaluation._lesion_table import lesion_table
from care_tf.evaluation.headline import estimate_of, headlines
from care_tf.evaluation.lesion_figures import (
    LESION_COLUMNS,
    LESION_FIGURES,
    chosen_for_check,
    columns_known_in_both,
    lesion_figures,
)
from care_tf.evaluation.scores import Scores

NAMES = ("NV", "DF")


def _run(seed, num_images=40):
    rng = np.random.default_rng(seed)
    labels = np.arange(num_images) % 2
    probabilities = rng.dirichlet(np.ones(2), num_images)
    columns = {name: rng.uniform(size=num_images) for name in LESION_COLUMNS}
    columns |= {name: values.round() for name, values in columns.items() if name.startswith("right")}
    for values in columns.values():
        values[: num_images // 4] = np.nan  # not checked
    return labels, probabilities, columns


def test_every_figure_equals_a_loop_over_images():
    labels, probabilities, columns = _run(0)
    found = lesion_figures(labels, probabilities, columns)
    assert set(found) == set(LESION_FIGURES)
    scores = evaluate_predictions(labels, probabilities, NAMES, num_resamples=5, lesion_check=columns)
    for index, of_class in enumerate(scores.classes):
        of_images = {name: [] for name in LESION_FIGURES}
        for i in range(10, 40):
            if labels[i] != index:
                continue
            p, without = probabilities[i, index], columns["probability_lesion_hidden"][i]
            only = columns["probability_rest_hidden"][i]
            of_images["right_checked"].append(probabilities[i, index] > probabilities[i, 1 - index])
            of_images["right_without_lesion"].append(columns["right_lesion_hidden"][i])
            of_images["right_lesion_only"].append(columns["right_rest_hidden"][i])
            of_images["drop_without_lesion"].append(p - without)
            of_images["drop_lesion_only"].append(p - only)
            of_images["lesion_reliance"].append(abs(p - without) - abs(p - only))
            of_images["insertion_area"].append(columns["insertion_area"][i])
            of_images["deletion_area"].append(columns["deletion_area"][i])
        assert of_class.num_checked == len(of_images["right_checked"]) == 15
        for name, values in of_images.items():
            assert getattr(of_class, name).value == pytest.approx(np.mean(values)), name


def test_groups_are_drawn_together():
    labels, probabilities, columns = _run(0)
    rng = np.random.default_rng(0)
    columns["probability_lesion_hidden"] = np.repeat(rng.uniform(size=5), 8)  # equal within a lesion
    columns["probability_rest_hidden"] = np.repeat(rng.uniform(size=5), 8)
    probabilities[:] = 0.5
    alone, together = (
        evaluate_predictions(labels, probabilities, NAMES, groups, lesion_check=columns, num_resamples=200).classes[1]
        for groups in (None, np.repeat(np.arange(5), 8))
    )
    widths = [each.lesion_reliance.high - each.lesion_reliance.low for each in (alone, together)]
    assert widths[1] > 1.5 * widths[0]


@pytest.mark.parametrize(("without", "only", "sign"), [(0.1, 0.9, 1), (0.9, 0.1, -1), (0.9, 0.9, 0)])
def test_reliance_tells_what_moves_the_output(without, only, sign):
    columns = {"probability_lesion_hidden": np.array([without]), "probability_rest_hidden": np.array([only])}
    (reliance,) = lesion_figures(np.array([0]), np.array([[0.9, 0.1]]), columns)["lesion_reliance"]
    assert np.sign(reliance.round(6)) == sign


def test_a_cue_that_misleads_counts_as_one_that_helps():
    """The cue of the other class keeps the probability low: it rises when the surroundings are hidden."""
    columns = {"probability_lesion_hidden": np.array([0.1]), "probability_rest_hidden": np.array([0.8])}
    found = lesion_figures(np.array([0]), np.array([[0.1, 0.9]]), columns)
    assert found["lesion_reliance"][0] == pytest.approx(-0.7) and found["drop_lesion_only"][0] == pytest.approx(-0.7)


def test_differences_are_over_the_images_that_both_have():
    labels, before, columns_before = _run(0)
    _, after, columns_after = _run(1)
    columns_after["probability_rest_hidden"][10:20] = np.nan
    difference = paired_difference(
        labels, before, after, NAMES, num_resamples=5, baseline_lesion_check=columns_before, lesion_check=columns_after
    )
    one, other = (
        lesion_figures(labels, p, columns)["lesion_reliance"]
        for p, columns in ((before, columns_before), (after, columns_after))
    )
    expected = (other - one)[20:][labels[20:] == 1].mean()
    assert difference["lesion_reliance/DF"].value == pytest.approx(expected)
    alone = paired_difference(labels, before, after, NAMES, num_resamples=5, lesion_check=columns_after)
    assert alone["lesion_reliance/DF"].value is None  # nothing is known of the baseline


def test_columns_known_in_both_leaves_what_it_was_given_alone():
    first, second = {"a": np.array([1.0, np.nan, 3.0])}, {"a": np.array([np.nan, 2.0, 3.0]), "b": np.ones(3)}
    found = columns_known_in_both(first, second)
    np.testing.assert_array_equal(found[0]["a"], [np.nan, np.nan, 3])
    np.testing.assert_array_equal(found[1]["a"], [np.nan, np.nan, 3])
    assert set(found[0]) == set(found[1]) == {"a"} and first["a"][0] == 1


def test_scores_survive_json_and_old_ones_are_read():
    labels, probabilities, columns = _run(0)
    scores = evaluate_predictions(labels, probabilities, NAMES, num_resamples=5, lesion_check=columns)
    data = json.loads(json.dumps(scores.to_dict()))
    assert Scores.from_dict(data) == scores
    for row in data["classes"]:
        for name in (*LESION_FIGURES, "num_checked"):
            del row[name]
    old = Scores.from_dict(data)
    assert old.classes[1].num_checked == 0 and old.classes[1].lesion_reliance.value is None
    assert old.classes[1].recall == scores.classes[1].recall
    assert lesion_table([("old", old)]) is None
    assert not any("reliance" in each.title for each in headlines(old, ["DF"]))


def test_a_table_has_the_baseline_above_the_run():
    runs = []
    for seed, name in enumerate(("baseline", "run")):
        labels, probabilities, columns = _run(seed)
        runs.append((name, evaluate_predictions(labels, probabilities, NAMES, num_resamples=5, lesion_check=columns)))
    table = lesion_table(runs)
    assert [(row["name"], row["run"]) for row in table["rows"]] == [
        (name, run) for name in NAMES for run in ("baseline", "run")
    ]
    assert all(len(row["cells"]) == len(table["titles"]) for row in table["rows"])
    (card,) = (each for each in headlines(runs[1][1], ["DF"]) if "reliance" in each.title)
    expected = f"{100 * estimate_of(runs[1][1], 'lesion_reliance/DF').value:.1f} points"
    assert card.value == expected.replace("-", "\u2212")


def test_values_that_are_no_probabilities_are_refused():
    labels, probabilities, columns = _run(0)
    with pytest.raises(InputError, match="probability_rest_hidden must be a share in .* at image 39"):
        broken = np.where(np.arange(40) == 39, 1.5, columns["probability_rest_hidden"])
        evaluate_predictions(labels, probabilities, NAMES, lesion_check={**columns, "probability_rest_hidden": broken})


def test_the_choice_is_of_each_class_and_of_names_alone():
    paths = [f"/a/{name}.png" for name in range(60)]
    labels, candidates = np.arange(60) % 3, np.arange(60) >= 6
    chosen = chosen_for_check(paths, labels, candidates, 5)
    assert np.bincount(labels[chosen]).tolist() == [5, 5, 5] and chosen.min() >= 6 and (np.diff(chosen) > 0).all()
    order = np.random.default_rng(0).permutation(60)
    moved = chosen_for_check([f"/b/{order[i]}.png" for i in range(60)], labels[order], candidates[order], 5)
    assert sorted(order[moved]) == chosen.tolist()
    assert chosen.tolist() != [*range(6, 21)]  # not the first of a sorted list
    assert len(chosen_for_check(paths, labels, candidates, 0)) == 0
    assert len(chosen_for_check(paths, labels, candidates, 99)) == 54
