import numpy as np
import pytest

from care_tf.errors import InputError
from care_tf.evaluation.headline import (
    as_difference,
    as_interval,
    as_value,
    estimate_of,
    headlines,
    verdict,
)
from care_tf.evaluation.scores import Estimate, evaluate_predictions


def _scores(share=None):
    labels = np.array([0, 0, 0, 1, 1])
    return evaluate_predictions(labels, np.eye(3)[[0, 0, 1, 1, 1]], ["NV", "DF", "none"], None, share, num_resamples=10)


# oracle


def test_values_in_words():
    assert as_value("recall/DF", 17 / 23) == "73.9\u202f%"
    assert as_value("auc/DF", 0.96149) == as_value("macro_auc", 0.96149) == "0.961"
    assert as_value("macro_auc", None) == "n/a"
    assert as_value("lesion_reliance/DF", -0.304) == "\u221230.4 points"
    assert as_value("lesion_reliance/DF", None) == "n/a"
    assert as_interval("drop_lesion_only/DF", Estimate(-0.3, -0.4, -0.2)) == "\u221240.0 to \u221220.0 points"
    assert as_interval("recall/DF", Estimate(0.5, 0.25, 0.75)) == "25.0 to 75.0\u202f%"
    assert as_interval("macro_auc", Estimate(0.5, 0.25, 0.75)) == "0.250 to 0.750"
    assert as_interval("macro_auc", Estimate(0.5, None, None)) == "no interval"
    assert as_difference("recall/DF", Estimate(0.1, -0.05, 0.25)) == "+10.0 points (\u22125.0\u00a0to\u00a0+25.0)"
    assert as_difference("recall/DF", Estimate(-0.0004, -0.05, 0.0)) == "0.0 points (\u22125.0\u00a0to\u00a00.0)"
    assert as_difference("recall/DF", Estimate(None, None, None)) == "n/a"


def test_verdict_goes_by_the_interval_only():
    assert verdict(Estimate(0.3, -0.01, 0.6)) == "No difference shown: the interval includes 0."
    assert verdict(Estimate(0.3, 0.0, 0.6)) == "No difference shown: the interval includes 0."
    assert verdict(Estimate(0.01, 0.001, 0.02)) == "Higher than the baseline: the interval excludes 0."
    assert verdict(Estimate(-0.01, -0.02, -0.001)) == "Lower than the baseline: the interval excludes 0."
    assert verdict(Estimate(None, None, None)) == "Not comparable on these images."


# identities


def test_headlines_hold_the_scores_own_figures():
    scores = _scores(np.array([np.nan, np.nan, np.nan, 0.25, 0.75]))
    found = {h.title: h for h in headlines(scores, ["DF"])}
    assert found["Mean class accuracy"].value == as_value("", scores.mean_class_accuracy.value)
    assert found["Recall of DF"].note == "2 of 2 images"
    assert found["Attention inside the box of DF"].value == "50.0\u202f%"
    assert all(h.baseline is h.difference is h.verdict is None for h in found.values())
    assert "Attention inside the box of DF" not in {h.title for h in headlines(_scores(), ["DF"])}


def test_baseline_and_difference_stand_beside_the_value():
    scores = _scores()
    found = headlines(scores, ["DF"], scores, {"recall/DF": Estimate(0.1, 0.05, 0.2)})
    recall = next(h for h in found if h.title == "Recall of DF")
    assert recall.baseline == recall.value == "100.0\u202f%"
    assert recall.verdict.startswith("Higher")
    equal = {"recall_at_equal_calls/DF": Estimate(0.02, None, None)}
    found_too = headlines(scores, ["DF"], scores, {"recall/DF": Estimate(0.1, 0.05, 0.2), **equal})
    assert next(h for h in found_too if h.title == "Recall of DF").verdict.endswith(" At equal calls: +2.0 points.")
    assert found[0].baseline and found[0].difference is None


def test_estimates_are_found_by_name():
    scores = _scores()
    assert estimate_of(scores, "macro_auc") is scores.macro_auc
    assert estimate_of(scores, "auc/DF") is scores.classes[1].auc


# errors


def test_unknown_class_is_refused():
    with pytest.raises(InputError, match=r"must be among \['NV', 'DF', 'none'\]. Received: \['df'\]"):
        headlines(_scores(), ["df"])
