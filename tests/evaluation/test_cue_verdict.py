"""The rule of `care check`, case by case."""

import dataclasses

import numpy as np
import pytest

from care_tf.evaluation import Estimate, evaluate_predictions
from care_tf.evaluation.cue_verdict import MIN_GROUPS, cue_verdict

SCORES = evaluate_predictions(np.array([0, 1]), np.eye(2), ["NV", "DF"], num_resamples=2).classes[1]
BELOW, HOLDS, ABOVE = Estimate(-0.3, -0.4, -0.2), Estimate(0.1, -0.1, 0.3), Estimate(0.3, 0.2, 0.4)
UNKNOWN = Estimate(None, None, None)


@pytest.mark.parametrize(
    ("reliance", "beyond", "num_groups", "outcome", "words"),
    [
        (BELOW, BELOW, 30, "correct", "has something to correct: the outputs for DF"),
        (BELOW, HOLDS, MIN_GROUPS, "correct", "\u221230.0\u202f%, 95 % interval \u221240.0 to \u221220.0\u202f%"),
        (BELOW, UNKNOWN, 30, "correct", "no more than a uniform map"),
        (BELOW, ABOVE, 30, "map_disagrees", "may change nothing"),
        (ABOVE, BELOW, 30, "nothing", "Nothing is shown"),
        (HOLDS, BELOW, 30, "undecided", "cannot be decided"),
        (UNKNOWN, BELOW, 30, "undecided", "cannot be decided"),
        (BELOW, BELOW, MIN_GROUPS - 1, "undecided", "9 patients or lesions of DF"),
    ],
)
def test_the_rule(reliance, beyond, num_groups, outcome, words):
    verdict = cue_verdict(dataclasses.replace(SCORES, lesion_reliance=reliance), num_groups, beyond)
    assert verdict.outcome == outcome and words in verdict.sentence
    assert verdict.sentence.endswith(".") and verdict.sentence.count(". ") == 0
