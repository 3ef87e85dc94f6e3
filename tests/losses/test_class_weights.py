import fractions

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from care_tf.errors import InputError
from care_tf.losses import effective_number_weights, inverse_frequency_weights
from care_tf.losses.class_weights import class_weights

NAMES = ["nevus", "melanoma", "keratosis"]
COUNTS = [670, 110, 7]
all_counts = st.lists(st.integers(1, 100_000), min_size=2, max_size=9)


def exact_effective_number_weights(counts, beta):
    """Fractions, so that nothing cancels."""
    beta = fractions.Fraction(beta)
    inverse = [(1 - beta) / (1 - beta**n) for n in counts]
    return [float(len(counts) * value / sum(inverse)) for value in inverse]


def test_inverse_frequency_is_scikit_learns_balanced():
    utils = pytest.importorskip("sklearn.utils.class_weight")
    labels = np.repeat(np.arange(3), COUNTS)
    expected = utils.compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(inverse_frequency_weights(COUNTS), expected, rtol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.999, 1 - 1e-9, 1 - 1e-15])
def test_effective_number_equals_exact_arithmetic(beta):
    counts = [67, 11, 3]
    expected = exact_effective_number_weights(counts, beta)
    np.testing.assert_allclose(effective_number_weights(counts, beta), expected, rtol=1e-12)


@given(all_counts)
def test_inverse_frequency_gives_classes_equal_totals_and_samples_a_mean_of_one(counts):
    totals = np.array(counts) * inverse_frequency_weights(counts)
    np.testing.assert_allclose(totals, np.full(len(counts), sum(counts) / len(counts)), rtol=1e-12)


@given(all_counts, st.floats(0.0, 1.0, exclude_max=True))
def test_effective_number_sums_to_the_classes_and_favors_rarer_ones(counts, beta):
    weights = effective_number_weights(counts, beta)
    assert np.isfinite(weights).all() and weights.min() > 0
    np.testing.assert_allclose(weights.sum(), len(counts), rtol=1e-12)
    assert (np.diff(weights[np.argsort(counts)]) <= 1e-12).all()


@given(all_counts)
def test_effective_number_lies_between_ones_and_the_inverse_frequency(counts):
    np.testing.assert_array_equal(effective_number_weights(counts, 0.0), np.ones(len(counts)))
    inverse = inverse_frequency_weights(counts)
    limit = len(counts) * inverse / inverse.sum()
    np.testing.assert_allclose(effective_number_weights(counts, np.nextafter(1.0, 0.0)), limit, rtol=1e-9)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (None, np.ones(3)),
        ("balanced", inverse_frequency_weights(COUNTS)),
        ({"name": "balanced"}, inverse_frequency_weights(COUNTS)),
        ("effective_number", effective_number_weights(COUNTS)),
        ({"name": "effective_number"}, effective_number_weights(COUNTS, 0.999)),
        ({"name": "effective_number", "beta": 0.9}, effective_number_weights(COUNTS, 0.9)),
        ({"keratosis": 4, "nevus": 0}, [0, 1, 4]),
        ({}, np.ones(3)),
    ],
)
def test_settings(setting, expected):
    weights = class_weights(setting, COUNTS, NAMES)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_a_class_may_be_called_name_and_the_setting_is_not_changed():
    assert class_weights({"name": 2.5}, [1, 1], ["name", "other"]).tolist() == [2.5, 1.0]
    setting = {"name": "effective_number", "beta": 0.9}
    class_weights(setting, COUNTS, NAMES)
    assert setting == {"name": "effective_number", "beta": 0.9}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("inverse", "class weights must be one of balanced, effective_number, .*Received 'inverse'"),
        ({"name": "inverse"}, "class weights must be one of .*Received {'name': 'inverse'}"),
        ("balance", "Did you mean 'balanced'"),
        ({"name": "balanced", "beta": 0.9}, "'balanced' are: none. Received beta"),
        ({"name": "effective_number", "gamma": 2}, r"'effective_number' are: beta \(.*\). Received gamma"),
        ({"name": "effective_number", "beta": 1.0}, r"beta must be a number in \[0, 1\)"),
        ({"melanom": 2.0, 3: 1.0}, "unknown classes: 3, melanom. Classes: nevus, melanoma, keratosis"),
        ({"melanoma": -1.0}, "finite and >= 0"),
        ({"melanoma": float("nan")}, "finite and >= 0"),
        ({"melanoma": "much"}, "must be numbers"),
        ([1.0, 2.0, 3.0], "class weights must be None, one of .*Received"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(InputError, match=message):
        class_weights(setting, COUNTS, NAMES)


@pytest.mark.parametrize("setting", [None, "balanced", "effective_number", {"melanoma": 2.0}])
def test_counts_must_be_one_positive_number_for_each_class(setting):
    with pytest.raises(InputError, match="Every class needs at least one sample"):
        class_weights(setting, [1, 0, 2], NAMES)
    with pytest.raises(InputError, match="2 counts for 3 classes"):
        class_weights(setting, [1, 2], NAMES)
