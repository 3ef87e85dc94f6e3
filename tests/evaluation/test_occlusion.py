"""The blur beside SciPy's, and what the two occluded images hold of the image."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

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
        weight = gaussian_filter((mask > 0).astype(np.float64), (20 * EDGE_SIGMA, 30 * EDGE_SIGMA), mode="reflect")
        for channel in range(3):
            inside, outside = weight * image[..., channel], (1 - weight) * image[..., channel]
            hidden = blurred[..., channel]
            np.testing.assert_allclose(without[..., channel], outside + weight * hidden, atol=5e-3)
            np.testing.assert_allclose(only[..., channel], inside + (1 - weight) * hidden, atol=5e-3)


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
