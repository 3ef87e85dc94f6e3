import json
import time

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, roc_auc_score

from care_tf.errors import InputError
from care_tf.evaluation.scores import Estimate, Scores, evaluate_predictions, paired_difference

NAMES = ["NV", "MEL", "DF"]


def _run(seed=0, n=90, skill=1.0):
    rng = np.random.default_rng(seed)
    labels = np.random.default_rng(99).permutation(np.repeat([0, 1, 2], [n - n // 3 - n // 9, n // 3, n // 9]))
    logits = rng.normal(size=(n, 3))
    logits[np.arange(n), labels] += skill
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    share = np.where(labels == 2, rng.uniform(size=n), np.nan)
    return labels, probabilities, share


# oracle


def test_figures_equal_scikit_learn():
    labels, probabilities, share = _run()
    scores = evaluate_predictions(labels, probabilities, NAMES, attention_inside=share, num_resamples=50)
    predicted = probabilities.argmax(axis=1)
    assert scores.mean_class_accuracy.value == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert scores.macro_auc.value == pytest.approx(roc_auc_score(labels, probabilities, multi_class="ovr"))
    assert scores.confusion == confusion_matrix(labels, predicted).tolist()
    rare = scores.classes[2]
    assert (rare.num_images, rare.num_boxes) == (10, 10)
    assert rare.recall.value == rare.num_correct / rare.num_images
    assert rare.attention_inside.value == pytest.approx(np.nanmean(share))
    assert scores.classes[0].attention_inside == Estimate(None, None, None)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    """Recall of 60 independent images, true value 0.7: 95 % intervals of 60 experiments."""
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(60):
        correct = rng.uniform(size=60) < 0.7
        probabilities = np.eye(2)[np.where(correct, 1, 0)]
        scores = evaluate_predictions(np.ones(60, int), probabilities, ["a", "b"], num_resamples=200, seed=seed)
        recall = scores.classes[1].recall
        hits += recall.low <= 0.7 <= recall.high
    assert 50 <= hits <= 60


# identities


def test_difference_is_what_separates_the_two_runs():
    labels, probabilities, share = _run(0)
    _, better, better_share = _run(1, skill=2.5)
    differences = paired_difference(labels, probabilities, better, NAMES, None, share, better_share, num_resamples=100)
    run, baseline = (
        evaluate_predictions(labels, p, NAMES, attention_inside=s, num_resamples=10)
        for p, s in ((better, better_share), (probabilities, share))
    )
    for name in ("mean_class_accuracy", "macro_auc", "attention_inside"):
        expected = getattr(run, name).value - getattr(baseline, name).value
        assert differences[name].value == pytest.approx(expected)
    assert differences["recall/DF"].value == pytest.approx(
        run.classes[2].recall.value - baseline.classes[2].recall.value
    )
    assert differences["mean_class_accuracy"].excludes_zero


def test_a_run_does_not_differ_from_itself():
    labels, probabilities, share = _run()
    differences = paired_difference(labels, probabilities, probabilities, NAMES, None, share, share, num_resamples=20)
    assert differences["macro_auc"] == differences["attention_inside/DF"] == Estimate(0.0, 0.0, 0.0)
    assert not differences["macro_auc"].excludes_zero


def test_pairing_narrows_the_interval():
    labels, probabilities, _ = _run(n=900)
    nudged = probabilities + 0.03 * np.eye(3)[labels]
    paired = paired_difference(labels, probabilities, nudged, NAMES, num_resamples=200)["mean_class_accuracy"]
    alone = evaluate_predictions(labels, probabilities, NAMES, num_resamples=200).mean_class_accuracy
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_attention_is_compared_where_both_runs_have_it():
    labels, probabilities, share = _run()
    both = np.flatnonzero(~np.isnan(share))
    fewer, more = share.copy(), share + 0.0
    fewer[both[:4]] = np.nan
    more[both[4:]] = 1.0
    differences = paired_difference(labels, probabilities, probabilities, NAMES, None, fewer, more, num_resamples=20)
    assert differences["attention_inside"].value == pytest.approx(1 - np.mean(share[both[4:]]))


def test_scores_survive_json():
    labels, probabilities, share = _run()
    references = {"uniform": np.where(labels == 2, 0.4, np.nan)}
    scores = evaluate_predictions(labels, probabilities, NAMES, None, share, references, num_resamples=20)
    restored = Scores.from_dict(json.loads(json.dumps(scores.to_dict(), allow_nan=False)))
    assert restored == scores
    assert restored.classes[2].attention_references == {"uniform": pytest.approx(0.4)}
    assert restored.classes[0].attention_references == {"uniform": None}


# properties


def test_groups_widen_the_interval():
    labels, probabilities, _ = _run(n=30)
    labels, probabilities = np.repeat(labels, 6), np.repeat(probabilities, 6, axis=0)
    grouped = evaluate_predictions(labels, probabilities, NAMES, groups=np.repeat(np.arange(30), 6), num_resamples=200)
    alone = evaluate_predictions(labels, probabilities, NAMES, num_resamples=200)
    assert (grouped.num_groups, alone.num_groups) == (30, 180)
    widths = [s.mean_class_accuracy.high - s.mean_class_accuracy.low for s in (grouped, alone)]
    assert widths[0] > 1.5 * widths[1]


def test_thousand_resamples_of_two_thousand_images_are_quick():
    labels, probabilities, _ = _run(n=2000)
    probabilities = np.hstack([probabilities, 0.01 * np.random.default_rng(0).uniform(size=(2000, 4))])
    start = time.process_time()
    evaluate_predictions(labels, probabilities, list("abcdefg"))
    assert time.process_time() - start < 20  # measured: 0.6 s


# edges


def test_absent_class_has_no_figures_and_no_part_in_the_means():
    labels, probabilities, _ = _run()
    keep = labels != 1
    scores = evaluate_predictions(labels[keep], probabilities[keep], NAMES, num_resamples=20)
    assert scores.classes[1].recall == scores.classes[1].auc == Estimate(None, None, None)
    recalls = [scores.classes[0].recall.value, scores.classes[2].recall.value]
    assert scores.mean_class_accuracy.value == pytest.approx(np.mean(recalls))


def test_class_with_one_image_is_left_out_of_resamples_without_it():
    labels, probabilities = np.array([0, 0, 0, 1]), np.eye(2)[[0, 0, 1, 1]]
    recall = evaluate_predictions(labels, probabilities, ["a", "b"], num_resamples=100).classes[1].recall
    assert recall == Estimate(1.0, 1.0, 1.0)


# errors


def _evaluate(labels=(0, 1), probabilities=((1.0, 0.0), (0.0, 1.0)), names=("a", "b"), **arguments):
    return evaluate_predictions(np.asarray(labels), probabilities, names, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": (0, 2)}, r"labels must lie in \[0, 2\). Received: 2 at image 1"),
        ({"labels": (0.0, 1.0)}, "one integer per image. Received: .*float64"),
        ({"labels": ()}, "one integer per image"),
        ({"probabilities": ((0.4,), (0.6,))}, r"Received: shape \(2, 1\). One sigmoid unit p is given as"),
        ({"probabilities": ((1.0, 0.0), (np.nan, 1.0))}, r"must be finite. Received: \[nan, 1.0\] at image 1"),
        ({"names": ("a", "a")}, "Class names must differ"),
        ({"groups": ("x", "")}, "1 images without, the first at 1"),
        ({"groups": ("x", float("nan"))}, "Every image needs a group"),
        ({"groups": ("x",)}, r"one group per image \(2\)"),
        ({"attention_inside": (0.1, 1.5)}, "attention_inside must be a share in .* Received: 1.5 at image 1"),
        ({"attention_inside": (0.1,)}, "one value per image"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        _evaluate(**arguments)
