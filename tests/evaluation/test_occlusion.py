"""The blur beside SciPy's, and what the two occluded images hold of the image."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from care_tf.errors import InputError
from care_tf.evaluation.occlusion import BLUR_SIGMA, EDGE_SIGMA, gaussian_blur, occluded


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (2, 20, 30, 3)).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.05, BLUR_SIGMA, 0.6])
def test_the_blur_equals_scipys(images, sigma):
    deviations = (0, 20 * sigma, 30 * sigma, 0)
    expected = gaussian_filter(images.astype(np.float64), deviations, mode="reflect", truncate=4.0)
    np.testing.assert_allclose(gaussian_blur(images, sigma), expected, atol=2e-3)
    np.testing.assert_allclose(gaussian_blur(images[..., 0], sigma), expected[..., 0], atol=2e-3)


def test_a_blur_keeps_the_mean_and_a_picture_of_one_color(images):
    np.testing.assert_allclose(gaussian_blur(images).mean(axis=(1, 2)), images.mean(axis=(1, 2)), rtol=1e-4)
    np.testing.assert_allclose(gaussian_blur(np.full((1, 7, 5, 3), 9.0)), 9.0, rtol=1e-5)


def test_both_images_equal_a_direct_computation(images):
    masks = np.zeros((2, 20, 30))
    masks[:, 5:15, 8:20] = 7  # any value but 0 is inside
    found = occluded(images, masks)
    for image, mask, without, only in zip(images, masks, *found, strict=True):
        blurred = gaussian_filter(image, (20 * BLUR_SIGMA, 30 * BLUR_SIGMA, 0), mode="reflect")
        distance = distance_transform_edt(mask == 0, sampling=(1 / (20 * EDGE_SIGMA), 1 / (30 * EDGE_SIGMA)))
        weight = np.exp(-(distance**2) / 2)
        for channel in range(3):
            inside, outside = weight * image[..., channel], (1 - weight) * image[..., channel]
            hidden = blurred[..., channel]
            # exp(-8) of 255 lies beyond the four deviations that are followed
            np.testing.assert_allclose(without[..., channel], outside + weight * hidden, atol=0.09)
            np.testing.assert_allclose(only[..., channel], inside + (1 - weight) * hidden, atol=0.09)


@pytest.mark.parametrize("side", [3, 5, 40])
def test_of_a_lesion_of_any_size_nothing_is_left(side):
    """Boxes of 3, 5 and 40 % of the frame; the weight is what is missing of a white image blurred to black."""
    images, masks = np.ones((1, 100, 100, 1), np.float32), np.zeros((1, 100, 100))
    box = slice(50 - side // 2, 50 - side // 2 + side)
    masks[0, box, box] = 1
    without, only = occluded(images, masks, np.zeros_like(images))
    assert not without[0, box, box].any() and (only[0, box, box] == 1).all()
    edge = only[0, 50, box.stop - 1 : box.stop + 10, 0]
    expected = np.where(np.arange(11) <= 8, np.exp(-((np.arange(11) / 2) ** 2) / 2), 0)
    np.testing.assert_allclose(edge, expected, atol=1e-6)


def test_without_a_lesion_nothing_changes(images):
    np.testing.assert_array_equal(occluded(images, np.zeros((2, 20, 30))).without_lesion, images)


def test_what_one_shows_the_other_does_not(images):
    masks = np.zeros((2, 20, 30))
    masks[:, 5:15, 8:20] = 1
    without, only = occluded(images, masks)
    np.testing.assert_allclose(without + only, images + gaussian_blur(images), atol=1e-3)
    np.testing.assert_allclose(without[:, 0, 0], images[:, 0, 0], atol=1e-3)  # far from the lesion
    np.testing.assert_allclose(only[:, 10, 14], images[:, 10, 14], atol=1e-3)  # in the middle of it


def test_a_lesion_that_fills_the_frame_leaves_nothing(images):
    without, only = occluded(images, np.ones((2, 20, 30)))
    np.testing.assert_allclose(without, gaussian_blur(images), atol=1e-3)
    np.testing.assert_allclose(only, images, atol=1e-3)


def test_what_does_not_fit_is_refused(images):
    with pytest.raises(InputError, match=r"Received: shapes \(2, 20, 30, 3\) and \(2, 20, 31\)"):
        occluded(images, np.ones((2, 20, 31)))
    with pytest.raises(InputError, match="Received: shape"):
        gaussian_blur(np.ones((4, 4)))
    with pytest.raises(InputError, match="above 0. Received: 0"):
        gaussian_blur(images, 0)
