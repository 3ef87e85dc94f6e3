"""The blur beside SciPy's, what the two occluded images hold of the image, and that they tell which one decides."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter
from slow_occlusion import slowly_occluded

from care_tf.errors import InputError
from care_tf.evaluation import Estimate, evaluate_predictions
from care_tf.evaluation.cue_verdict import cue_verdict
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


@pytest.fixture
def masks():
    """A box with another at the border, and a lesion of odd shape."""
    masks = np.zeros((2, 20, 30))
    masks[0, 5:15, 8:20] = masks[0, 17:, 25:] = 7  # any value but 0 is inside
    masks[1] = gaussian_filter(np.random.default_rng(1).normal(size=(20, 30)), 3) > 0.05
    return masks


def test_both_images_equal_a_slow_computation(images, masks):
    for image, mask, *found in zip(images, masks, *occluded(images, masks), strict=True):
        for each, expected in zip(found, slowly_occluded(image, mask)[0], strict=True):
            np.testing.assert_allclose(each, expected, atol=2e-3)


def test_the_edge_is_that_of_the_distance_from_the_mask(images, masks):
    """exp(-8) of 255 lies beyond the four deviations that are followed."""
    for mask in masks:
        distance = distance_transform_edt(mask == 0, sampling=(1 / (20 * EDGE_SIGMA), 1 / (30 * EDGE_SIGMA)))
        np.testing.assert_allclose(slowly_occluded(images[0], mask)[1], np.exp(-(distance**2) / 2), atol=4e-4)


def test_what_is_hidden_has_no_part_in_the_image_that_hides_it(images, masks):
    """To the last bit: not one pixel of the lesion in the image without it, nor of what surrounds it in the other."""
    without, only = occluded(images, masks)
    other = np.random.default_rng(2).uniform(0, 255, images.shape).astype(np.float32)
    inside = (masks > 0)[..., np.newaxis]
    np.testing.assert_array_equal(occluded(np.where(inside, other, images), masks).lesion_hidden, without)
    weight = np.stack([slowly_occluded(image, mask)[1] for image, mask in zip(images, masks, strict=True)])
    beyond = (weight == 0)[..., np.newaxis]
    assert beyond.any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(occluded(np.where(beyond, other, images), masks).rest_hidden, only)


SHARES = [0.03, 0.1, 0.25, 0.5, 0.75, 0.9]
LESION, SKIN, CUE = 60.0, 190.0, 40.0


def lesion_in_the_middle(share, is_box, side=100):
    """A mask of that share of the frame; a round one is cut off by the frame where it must be."""
    row, column = np.mgrid[:side, :side] - (side - 1) / 2
    distance = np.maximum(np.abs(row), np.abs(column)) if is_box else np.hypot(row, column)
    return distance <= np.sort(distance, axis=None)[round(share * side**2) - 1]


@pytest.mark.parametrize("is_box", [True, False])
@pytest.mark.parametrize("share", SHARES)
def test_of_a_lesion_of_any_size_no_contrast_is_left(share, is_box):
    """On skin of one color c the image without the lesion is c everywhere.

    The bound is that of float32: two products in a row of H and W summands that are not negative, above and below the
    fraction, are off by a part of at most 2 (H + W) 2^-24, and the edge adds a few roundings.
    """
    mask = lesion_in_the_middle(share, is_box)
    assert mask.mean() == pytest.approx(share, abs=0.05)
    dark = np.random.default_rng(0).uniform(0, LESION, (100, 100, 3))
    image = np.where(mask[..., np.newaxis], dark, SKIN).astype(np.float32)
    without = occluded(image[np.newaxis], mask[np.newaxis]).lesion_hidden
    np.testing.assert_allclose(without, SKIN, atol=SKIN * (2 * 200 + 10) * 2**-24, rtol=0)


@pytest.mark.parametrize("share", [*SHARES[:-2], 0.6])  # beyond that the edge reaches the frame's corners
def test_of_the_surroundings_of_a_lesion_of_any_size_no_contrast_is_left(share):
    """Between the lesion and a dark frame lies skin as wide as the edge: outside the lesion only that is left."""
    mask = lesion_in_the_middle(share, is_box=True)
    is_near = distance_transform_edt(~mask, sampling=0.01) <= np.hypot(0.08, 0.08)
    assert not is_near.all()
    image = np.where(mask, LESION, np.where(is_near, SKIN, CUE)).astype(np.float32)[np.newaxis, ..., np.newaxis]
    only = occluded(image, mask[np.newaxis]).rest_hidden[0, ..., 0]
    np.testing.assert_allclose(only, np.where(mask, LESION, SKIN), atol=SKIN * (2 * 200 + 10) * 2**-24, rtol=0)


@pytest.mark.parametrize("size", [(7, 7), (8, 40), (40, 40), (300, 200)])
def test_the_farthest_pixels_are_filled_too(size):
    """All but a line, or but a pixel, is hidden, or all but a pixel is shown: float32 holds the weights of all."""
    images = np.full((3, *size, 3), SKIN, np.float32)
    masks = np.ones((3, *size), bool)
    masks[0, :, 0], masks[1, 0, 0], masks[2] = False, False, False
    masks[2, -1, -1] = True
    images[masks] = LESION
    found = occluded(images, masks)
    np.testing.assert_allclose(found.lesion_hidden, SKIN, rtol=1e-4)
    np.testing.assert_allclose(found.rest_hidden[~masks].max(axis=-1), SKIN, rtol=1e-4)
    np.testing.assert_array_equal(found.rest_hidden[masks], LESION)


def test_without_a_lesion_nothing_changes(images):
    without, only = occluded(images, np.zeros((2, 20, 30)))
    np.testing.assert_array_equal(without, images)
    np.testing.assert_allclose(only - images.mean(axis=(1, 2), keepdims=True), 0, atol=1e-3)


def test_a_lesion_that_fills_the_frame_leaves_its_mean_color(images):
    without, only = occluded(images, np.ones((2, 20, 30)))
    np.testing.assert_allclose(
        without, np.broadcast_to(images.mean(axis=(1, 2), keepdims=True), images.shape), rtol=1e-5
    )
    np.testing.assert_array_equal(only, images)


def test_what_one_shows_the_other_does_not(images, masks):
    """They add up to the image and a filling that is smooth, though the image is noise."""
    without, only = occluded(images, masks)
    filling = without + only - images
    assert np.abs(np.diff(filling, axis=1)).max() < 20 < np.abs(np.diff(images, axis=1)).max()
    np.testing.assert_array_equal(without[0, 0, 0], images[0, 0, 0])  # far from the lesion
    np.testing.assert_array_equal(only[:, masks.all(axis=0)], images[:, masks.all(axis=0)])


def verdict_on(share, is_box, lesion_weight, cue_weight):
    """The verdict on a network that goes by the darkness of the lesion and of a cue, 20 images of each of 2 classes."""
    side = 64
    mask = lesion_in_the_middle(share, is_box, side)
    cue = np.zeros((side, side), bool)
    cue[:5, :5] = True
    labels = np.arange(40) % 2
    noise = np.random.default_rng(0).normal(0, 4, (40, side, side, 1))
    dark = np.where(labels, SKIN - LESION, 40)[:, np.newaxis, np.newaxis] * mask
    dark = np.where(cue & (labels[:, np.newaxis, np.newaxis] > 0), SKIN - CUE, dark)
    images = (SKIN - dark[..., np.newaxis] + noise).astype(np.float32)

    parts = ((mask, LESION), (cue, CUE))

    def probabilities(seen):
        lesion, corner = ((SKIN - seen[:, part].mean(axis=(1, 2))) / (SKIN - color) for part, color in parts)
        second = 1 / (1 + np.exp(-lesion_weight * (lesion - 0.6) - cue_weight * (corner - 0.5)))
        return np.stack([1 - second, second], axis=1)

    found = {name: probabilities(seen) for name, seen in occluded(images, [mask] * 40)._asdict().items()}
    columns = {f"probability_{name}": each[np.arange(40), labels] for name, each in found.items()}
    columns |= {f"right_{name}": each.argmax(axis=1) == labels for name, each in found.items()}
    scores = evaluate_predictions(labels, probabilities(images), ["NV", "MEL"], lesion_check=columns, num_resamples=50)
    return cue_verdict(scores.classes[1], 20, Estimate(-0.1, -0.2, -0.05)).outcome


@pytest.mark.parametrize("is_box", [True, False])
@pytest.mark.parametrize("share", SHARES)
def test_the_verdict_is_that_of_the_network_whatever_the_size_of_the_lesion(share, is_box):
    """One weighs the lesion more than a dark corner, the other the corner; both lie outside each other's edge."""
    assert verdict_on(share, is_box, lesion_weight=6, cue_weight=1.5) == "nothing"
    assert verdict_on(share, is_box, lesion_weight=6, cue_weight=4) == "nothing"
    if share <= 0.5:  # beyond that the corner is less than .08 of the frame from the box
        assert verdict_on(share, is_box, lesion_weight=4, cue_weight=6) == "correct"
        assert verdict_on(share, is_box, lesion_weight=1.5, cue_weight=6) == "correct"


def test_what_does_not_fit_is_refused(images):
    with pytest.raises(InputError, match=r"Received: shapes \(2, 20, 30, 3\) and \(2, 20, 31\)"):
        occluded(images, np.ones((2, 20, 31)))
    with pytest.raises(InputError, match="Received: shape"):
        gaussian_blur(np.ones((4, 4)))
    with pytest.raises(InputError, match="above 0. Received: 0"):
        gaussian_blur(images, 0)
