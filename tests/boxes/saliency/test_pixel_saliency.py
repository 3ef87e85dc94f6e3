import numpy as np
import pytest
from scipy import ndimage

from care_tf.boxes.saliency._pixel_saliency import object_biased, pixel_map, pixel_saliency


@pytest.fixture
def scene():
    """Two scales with three superpixels each, two kinds of error, and a column that does not count."""
    rng = np.random.default_rng(0)
    labels = [np.tile(np.repeat(np.arange(3), 3), (6, 1)), np.repeat(np.arange(3), 2)[:, None] * np.ones((1, 9), int)]
    for own in labels:
        own[:, -1] = -1
    features = rng.random((6, 9, 8)).astype(np.float32)
    means = [rng.random((3, 8)) for _ in labels]
    errors = [rng.random((3, 2)) for _ in labels]
    return features, labels, means, errors


def slow_pixel_map(features, labels, means, errors):
    height, width = labels[0].shape
    result = np.zeros((height, width, 2))
    for row in range(height):
        for column in range(width):
            if labels[0][row, column] < 0:
                continue
            total, weighted = 0.0, np.zeros(2)
            for own, mean, error in zip(labels, means, errors, strict=True):
                label = own[row, column]
                weight = 1 / (np.sqrt(((features[row, column] - mean[label]) ** 2).sum()) + 1e-6)
                total, weighted = total + weight, weighted + weight * error[label]
            result[row, column] = weighted / total
    return result


def slow_object_biased(saliency):
    height, width = saliency.shape
    center_y, center_x = ndimage.center_of_mass(saliency)
    result = np.zeros(saliency.shape)
    for y in range(height):
        for x in range(width):
            exponent = (x - center_x) ** 2 / (2 * (width / 4) ** 2) + (y - center_y) ** 2 / (2 * (height / 4) ** 2)
            result[y, x] = saliency[y, x] * np.exp(-exponent)
    return result


def test_pixel_map_equals_the_slow_oracle(scene):
    found = pixel_map(*scene)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow_pixel_map(*scene), rtol=1e-5)


def test_one_scale_paints_its_errors(scene):
    features, labels, means, errors = scene
    painted = pixel_map(features, labels[:1], means[:1], errors[:1])
    np.testing.assert_allclose(painted[:, :-1], errors[0][labels[0][:, :-1]], rtol=1e-6)
    assert not painted[:, -1].any()


def test_a_pixel_equal_to_its_superpixel_takes_that_error(scene):
    features, labels, means, errors = scene
    features[2, 1] = means[1][1]
    np.testing.assert_allclose(pixel_map(features, labels, means, errors)[2, 1], errors[1][1], atol=1e-5)


def test_object_bias_equals_the_slow_oracle():
    saliency = np.random.default_rng(1).random((11, 17))
    found = object_biased(saliency)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow_object_biased(saliency), rtol=1e-5)


def test_the_gaussian_follows_the_object():
    saliency = np.full((40, 60), 0.01)
    saliency[5:10, 10:16] = 1.0
    biased = object_biased(saliency)
    assert biased[7, 13] > 0.3 and biased[-1, -1] / saliency[-1, -1] < 0.05
    wide = object_biased(saliency, sigma_fraction=100.0)
    np.testing.assert_allclose(wide, saliency, rtol=1e-3)


def test_a_map_of_zeros_stays():
    assert not object_biased(np.zeros((4, 5))).any()


def test_pixel_saliency_scales_each_kind(scene):
    saliency = pixel_saliency(*scene)
    assert saliency.dtype == np.float32 and saliency.shape == (6, 9, 2)
    assert not saliency[:, -1].any()
    maps = slow_pixel_map(*scene)[:, :-1]
    for kind in range(2):
        values = saliency[:, :-1, kind]
        assert values.min() == 0 and values.max() == 1
        scaled = np.pad((maps[..., kind] - maps[..., kind].min()) / np.ptp(maps[..., kind]), ((0, 0), (0, 1)))
        biased = slow_object_biased(scaled)[:, :-1]
        np.testing.assert_allclose(values, (biased - biased.min()) / np.ptp(biased), atol=1e-5)
