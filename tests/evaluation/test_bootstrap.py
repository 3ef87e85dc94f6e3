import numpy as np
import pytest

from care_tf.errors import InputError
from care_tf.evaluation.bootstrap import group_bootstrap, percentile_interval

VALUES = np.array([1.0, 2.0, 3.0, 10.0, 11.0])
GROUPS = ["a", "a", "b", "c", "c"]


def _mean(weights):
    return {"mean": weights @ VALUES / weights.sum(axis=1), "weight": weights.sum(axis=1), "first": weights[:, 0]}


# oracle


def test_spread_equals_the_textbook_standard_error():
    rng = np.random.default_rng(0)
    values = rng.normal(size=200)
    found = group_bootstrap(lambda w: {"mean": w @ values / w.sum(axis=1)}, np.arange(200), 4000)["mean"]
    assert found.std() == pytest.approx(values.std() / np.sqrt(200), rel=0.05)
    low, high = percentile_interval(found)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(200), rel=0.08)


def test_interval_leaves_out_undefined_replicates():
    replicates = np.concatenate([np.full(50, np.nan), np.arange(101.0)])
    assert percentile_interval(replicates) == pytest.approx((2.5, 97.5))


# identities


def test_images_of_a_group_are_drawn_together():
    pairs = group_bootstrap(lambda w: {str(i): w[:, i] for i in range(5)}, GROUPS, 200)
    np.testing.assert_array_equal(pairs["0"], pairs["1"])
    np.testing.assert_array_equal(pairs["3"], pairs["4"])
    assert np.any(pairs["1"] != pairs["2"])
    np.testing.assert_array_equal(pairs["0"] + pairs["2"] + pairs["3"], np.full(200, 3))  # three groups are drawn


def test_equal_seeds_give_equal_resamples():
    first, again = (group_bootstrap(_mean, GROUPS, 70, seed=1) for _ in range(2))
    other = group_bootstrap(_mean, GROUPS, 70, seed=2)
    np.testing.assert_array_equal(first["mean"], again["mean"])
    assert np.any(first["mean"] != other["mean"])


def test_blocks_do_not_change_the_number_of_resamples():
    assert group_bootstrap(_mean, GROUPS, 7, resamples_at_once=3)["mean"].shape == (7,)


# properties


def test_doubling_every_group_member_does_not_narrow_the_interval():
    values = np.random.default_rng(0).normal(size=30)
    copies = np.repeat(values, 4)
    single = group_bootstrap(lambda w: {"m": w @ values / w.sum(axis=1)}, np.arange(30), 300)["m"]
    copied = group_bootstrap(lambda w: {"m": w @ copies / w.sum(axis=1)}, np.repeat(np.arange(30), 4), 300)["m"]
    np.testing.assert_allclose(single, copied)


# edges


def test_nothing_defined_gives_nan():
    assert np.isnan(percentile_interval(np.array([np.nan]))).all()


# errors


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match=r"num_resamples must be at least 1. Received: 0"):
        group_bootstrap(_mean, GROUPS, 0)
    with pytest.raises(InputError, match="at least one image"):
        group_bootstrap(_mean, [], 10)
