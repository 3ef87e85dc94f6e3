import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from care_tf.boxes.saliency._bayesian import integrate, posterior

MAPS = hnp.arrays(np.float64, (4, 5), elements=st.floats(0, 1))


def slow_posterior(prior, observed, num_bins):
    """Pixel by pixel, counting the pixels in its bin anew."""
    mean = prior.mean()
    place = [min(int(value * num_bins), num_bins - 1) for value in observed.ravel()]
    foreground = [value >= mean for value in prior.ravel()]
    result = []
    for own, value in zip(place, prior.ravel(), strict=True):
        shares = []
        for region in (True, False):
            members = [other for other, inside in zip(place, foreground, strict=True) if inside == region]
            shares.append(members.count(own) / len(members) if members else 0.0)
        evidence = value * shares[0] + (1 - value) * shares[1]
        result.append(value * shares[0] / evidence if evidence > 0 else 0.0)
    return np.reshape(result, prior.shape)


@pytest.mark.parametrize("num_bins", [60, 7])
def test_posterior_equals_the_slow_oracle(num_bins):
    rng = np.random.default_rng(0)
    prior = rng.random((9, 11))
    observed = np.clip(prior + rng.normal(0, 0.2, prior.shape), 0, 1)
    np.testing.assert_allclose(posterior(prior, observed, num_bins), slow_posterior(prior, observed, num_bins))


def test_a_two_by_two_image_by_hand():
    """Prior 0, .25 | .75, 1 has the mean .5; observed in the bins (0, 1 | 1, 1) of two:
    hF = (0, 1), hB = (.5, .5). The posteriors are 0 / .5, .25 / (.25 + .375), .75 / (.75 + .125), 1 / 1."""
    prior, observed = np.array([[0.0, 0.25], [0.75, 1.0]]), np.array([[0.0, 0.9], [0.9, 1.0]])
    np.testing.assert_allclose(posterior(prior, observed, 2), [[0.0, 0.4], [6 / 7, 1.0]])


def test_integration_is_the_scaled_mean_of_both():
    rng = np.random.default_rng(1)
    first, second = rng.random((8, 9)).astype(np.float32), rng.random((8, 9)).astype(np.float32)
    mean = slow_posterior(first, second, 60) + slow_posterior(second, first, 60)
    found = integrate(first, second)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, (mean - mean.min()) / np.ptp(mean), atol=1e-6)
    np.testing.assert_array_equal(integrate(second, first), found)


def test_pixels_outside_the_field_do_not_count():
    rng = np.random.default_rng(2)
    first, second = rng.random((8, 9)).astype(np.float32), rng.random((8, 9)).astype(np.float32)
    field = np.zeros((8, 9), bool)
    field[:, 2:] = True
    found = integrate(first, second, field)
    assert not found[:, :2].any()
    np.testing.assert_array_equal(found[:, 2:], integrate(first[:, 2:], second[:, 2:]))
    assert not integrate(first, second, field & False).any()


def test_agreement_makes_the_map_binary():
    saliency = np.zeros((10, 10), np.float32)
    saliency[3:6, 3:6] = 0.8
    saliency[4, 4] = 1.0
    found = integrate(saliency, saliency)
    assert (found[3:6, 3:6] == 1).all() and found.sum() == 9


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_flat_maps_give_zeros(value):
    flat = np.full((5, 6), value, np.float32)
    assert not integrate(flat, flat).any()


@given(MAPS, MAPS)
def test_any_maps_give_a_map(first, second):
    found = integrate(first, second)
    assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1
    assert np.isfinite(posterior(first, second)).all()
    assert posterior(first, second).max() <= 1
