"""The rule of `care check`, case by case."""

import dataclasses

import numpy as np
import pytest

from care_tf.evaluation import Estimate, evaluate_predictions
from care_tf.evaluation.cue_verdict import MIN_GROUPS, SMALLEST_EFFECT, SWAP, cue_verdict
from care_tf.runs.config import load_config

SCORES = evaluate_predictions(np.array([0, 1]), np.eye(2), ["NV", "DF"], num_resamples=2).classes[1]
BELOW, INCLUDES, ABOVE = Estimate(-0.3, -0.4, -0.2), Estimate(0.1, -0.1, 0.3), Estimate(0.3, 0.2, 0.4)
UNKNOWN = Estimate(None, None, None)
SMALL = Estimate(-0.004, -0.006, -0.002)


@pytest.mark.parametrize(
    ("reliance", "beyond", "num_groups", "outcome", "words"),
    [
        (BELOW, BELOW, 30, "correct", "has something to correct: the outputs for DF"),
        (BELOW, INCLUDES, MIN_GROUPS, "correct", "\u221230.0 points, 95 % interval \u221240.0 to \u221220.0 points"),
        (BELOW, UNKNOWN, 30, "correct", "no more than a uniform map"),
        (BELOW, ABOVE, 30, "map_disagrees", "may change nothing"),
        (ABOVE, BELOW, 30, "nothing", "Nothing is shown"),
        (INCLUDES, BELOW, 30, "undecided", "of DF, \u221210.0 to 30.0 points, includes 0."),
        (UNKNOWN, BELOW, 30, "undecided", "the lesion reliance of DF has no interval on these images."),
        (Estimate(-0.3, None, None), BELOW, 30, "undecided", "has no interval on these images."),
        (SMALL, BELOW, 30, "too_small", "too small to matter (lesion reliance \u22120.4 points"),
        (Estimate(0.049, 0.01, 0.09), BELOW, 30, "too_small", "less than 5 points)."),
        (Estimate(-SMALLEST_EFFECT, -0.09, -0.01), BELOW, 30, "correct", "has something to correct"),
        (BELOW, BELOW, MIN_GROUPS - 1, "undecided", "9 patients or lesions of DF"),
    ],
)
def test_the_rule(reliance, beyond, num_groups, outcome, words):
    verdict = cue_verdict(dataclasses.replace(SCORES, lesion_reliance=reliance), num_groups, beyond)
    assert verdict.outcome == outcome and words in verdict.sentence
    has_advice = outcome in ("correct", "map_disagrees")
    assert verdict.sentence.endswith(".") and verdict.sentence.count(". ") == has_advice
    assert (f"Try '{SWAP}', with boxes on every class that the cue tells apart" in verdict.sentence) == has_advice


def test_what_it_says_to_try_is_a_setting():
    config = load_config("traps/care_masked_both", [SWAP])
    assert isinstance(config.care.form, dict) and config.care.form["kind"] == "swap"


@pytest.mark.parametrize("reliance", [SMALL, INCLUDES])
@pytest.mark.parametrize(("recall", "is_said"), [(0.0, True), (0.05, True), (0.1, False), (None, False)])
def test_a_network_that_never_calls_the_class_has_no_opinion_to_explain(reliance, recall, is_said):
    """A baseline that gives a rare class about .02 on every image is not moved by anything."""
    scores = dataclasses.replace(SCORES, lesion_reliance=reliance, right_checked=Estimate(recall, recall, recall))
    verdict = cue_verdict(scores, 30, BELOW)
    assert verdict.outcome in ("too_small", "undecided") and "(" not in verdict.sentence.partition(";")[2]
    assert ("no opinion to explain." in verdict.sentence) == is_said


def test_a_cue_that_misleads_is_told_though_the_class_is_never_called():
    scores = dataclasses.replace(SCORES, lesion_reliance=BELOW, right_checked=Estimate(0.0, 0.0, 0.0))
    assert cue_verdict(scores, 30, BELOW).outcome == "correct"
