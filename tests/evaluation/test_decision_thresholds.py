import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score

from care_tf.errors import InputError
from care_tf.evaluation.decision_thresholds import Decision, Rule, call_scores, choose_thresholds

NAMES = ("a", "b", "c")


def _data(seed=0, n=60, decimals=2):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 3)
    return labels, (rng.dirichlet(np.ones(3), n) + 0.6 * np.eye(3)[labels]).round(decimals) / 1.6


def _every_threshold(scores):
    values = np.unique([0.0, *scores])
    return (values[1:] + values[:-1]) / 2


# oracle


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rule", ["f1", "youden", "sensitivity=.8", "specificity=.9"])
def test_no_other_threshold_is_better(rule, seed):
    labels, probabilities = _data(seed)

    def worth(index, threshold):
        member, called = labels == index, probabilities[:, index] >= threshold
        hits, false = (called & member).sum(), (called & ~member).sum()
        sensitivity, specificity = hits / member.sum(), 1 - false / (~member).sum()
        return {
            "f1": 2 * hits / (called.sum() + member.sum()),
            "youden": sensitivity + specificity,
            "sensitivity=.8": specificity if sensitivity >= 0.8 else -1,
            "specificity=.9": sensitivity if specificity >= 0.9 else -1,
        }[rule]

    for index, threshold in enumerate(choose_thresholds(labels, probabilities, NAMES, rule)):
        values = {other: worth(index, other) for other in _every_threshold(probabilities[:, index])}
        assert worth(index, threshold) == pytest.approx(max(values.values()))
        assert not any(value >= max(values.values()) - 1e-12 for other, value in values.items() if other > threshold)


def test_call_scores_equal_scikit_learn():
    labels, probabilities = _data()
    decision = Decision(NAMES, 1.0, (0.3, None, 0.5))
    found = call_scores(labels, probabilities, decision, groups=labels, num_resamples=5)
    assert [each.name for each in found] == ["a", "c"]
    for index, each in zip((0, 2), found, strict=True):
        member, called = labels == index, probabilities[:, index] >= each.threshold
        assert each.num_calls == called.sum()
        assert each.sensitivity.value == pytest.approx(recall_score(member, called))
        assert each.specificity.value == pytest.approx(recall_score(~member, ~called))
        assert each.precision.value == pytest.approx(precision_score(member, called))


# edges


def test_what_nothing_can_be_chosen_by_has_no_threshold():
    labels, probabilities = np.array([0, 0, 1]), np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.4, 0.6, 0]])
    assert choose_thresholds(labels, probabilities, NAMES)[2] is None
    # The highest probability of b is another class's: no threshold has a specificity of 1 but one that calls nothing.
    assert choose_thresholds(labels, probabilities, NAMES, "specificity=1")[1] is None
    calls = Decision(NAMES, 1.0, (0.5, None, None)).calls(probabilities)
    assert calls[:, 0].tolist() == [True, False, False] and not calls[:, 1:].any()


def test_thresholds_are_of_calibrated_probabilities():
    decision = Decision(("a", "b"), 2.0, (0.5, 0.3))
    assert decision.calibrated(np.array([[0.9, 0.1]])) == pytest.approx(np.array([[0.75, 0.25]]))
    assert decision.calls(np.array([[0.9, 0.1], [0.8, 0.2]])).tolist() == [[True, False], [True, True]]


# errors


@pytest.mark.parametrize("rule", ["f2", "f1=.5", "sensitivity", "sensitivity=", "specificity=high", "sensitivity=90"])
def test_unknown_rules_are_refused(rule):
    with pytest.raises(InputError, match=f"one of f1, youden, .* Received '{rule}'"):
        Rule.parse(rule)
