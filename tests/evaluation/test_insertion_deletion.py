"""Insertion and deletion beside loops over single pixels."""

import numpy as np
import pytest

from care_tf.errors import InputError
from care_tf.evaluation.insertion_deletion import NUM_PASSES, area_under, insertion_deletion, pixel_ranks

STEPS = 5


def _network(images):
    """A tiny one: a filter, a ReLU, a mean, a sigmoid."""
    weights = np.array([0.5, -1.0, 0.7])
    return 1 / (1 + np.exp(-np.maximum(images @ weights, 0).mean(axis=(1, 2)) + 0.3))


@pytest.fixture
def given():
    rng = np.random.default_rng(0)
    images, blurred = rng.normal(size=(2, 3, 4, 5, 3))
    return images, blurred, rng.uniform(size=(3, 4, 5))


def test_the_curves_equal_loops_over_pixels(given):
    found = insertion_deletion(_network, *given, num_steps=STEPS)
    for image, blurred, attention, insertion, deletion in zip(*given, *found, strict=True):
        places = sorted(np.ndindex(attention.shape), key=lambda place: -attention[place])
        for step in range(STEPS + 1):
            inserted, deleted = blurred.copy(), image.copy()
            for place in places[: round(step * len(places) / STEPS)]:
                inserted[place], deleted[place] = image[place], blurred[place]
            assert insertion[step] == pytest.approx(_network(inserted[np.newaxis])[0])
            assert deletion[step] == pytest.approx(_network(deleted[np.newaxis])[0])


def test_a_linear_network_gains_by_insertion_what_it_loses_by_deletion(given):
    insertion, deletion = insertion_deletion(lambda images: images.mean(axis=(1, 2, 3)), *given)
    total = (given[0] + given[1]).mean(axis=(1, 2, 3))[:, np.newaxis]
    np.testing.assert_allclose(insertion + deletion, np.repeat(total, 17, axis=1), atol=1e-12)


def test_the_passes_are_counted(given):
    calls = []
    insertion_deletion(lambda images: calls.append(1) or _network(images), *given)
    assert len(calls) == NUM_PASSES == 32


def test_a_map_that_ranks_nothing_has_no_curve(given):
    images, blurred, maps = given
    maps[1] = 0.25
    found = insertion_deletion(_network, images, blurred, maps)
    for curve in found:
        assert np.isnan(curve[1]).all() and not np.isnan(curve[[0, 2]]).any()


def test_ranks_are_a_permutation_with_the_highest_first(given):
    ranks = pixel_ranks(given[2])
    assert all(sorted(each.ravel()) == list(range(20)) for each in ranks)
    assert [given[2][i].ravel()[each.ravel().argmin()] for i, each in enumerate(ranks)] == [m.max() for m in given[2]]


def test_the_area_is_the_trapezoids(given):
    curve = np.array([[0.2, 0.4, 1.0], [1.0, 1.0, 1.0]])
    np.testing.assert_allclose(area_under(curve), [(0.3 + 0.7) / 2, 1.0])


def test_what_does_not_fit_is_refused(given):
    images, blurred, maps = given
    with pytest.raises(InputError, match=r"Received: shapes .* and \(2, 4, 5\)"):
        insertion_deletion(_network, images, blurred, maps[:2])
