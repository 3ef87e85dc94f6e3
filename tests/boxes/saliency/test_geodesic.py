import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import morphology

from care_tf.boxes.saliency._geodesic import reconstruct


def images(seed, num_images, height, width, dtype):
    """Markers and masks; narrow levels make long, winding paths."""
    rng = np.random.default_rng(seed)
    masks = rng.integers(0, 6, (num_images, height, width)) / (1 if dtype == np.uint8 else 5)
    markers = np.where(rng.random(masks.shape) < 0.02, masks, masks.min())
    return markers.astype(dtype), masks.astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("seed", range(3))
def test_reconstruction_against_scikit_image(seed, dtype):
    markers, masks = images(seed, 3, 45, 61, dtype)
    found = reconstruct(markers, masks)
    assert found.dtype == dtype
    for marker, mask, own in zip(markers, masks, found, strict=True):
        np.testing.assert_array_equal(own, morphology.reconstruction(marker, mask).astype(dtype))


def test_a_spiral_is_followed_to_its_end():
    mask = np.zeros((31, 31), np.uint8)
    top, left, bottom, right = 1, 1, 29, 29
    while top < bottom and left < right:  # rings two apart, each open to the next
        mask[top, left : right + 1] = mask[bottom, left : right + 1] = 9
        mask[top : bottom + 1, left] = mask[top : bottom + 1, right] = 9
        mask[top + 1, left] = 0
        mask[top + 2, left + 1] = 9
        top, left, bottom, right = top + 2, left + 2, bottom - 2, right - 2
    marker = np.zeros_like(mask)
    marker[1, 1] = 9
    np.testing.assert_array_equal(reconstruct(marker[np.newaxis], mask[np.newaxis])[0], mask)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 12))
def test_a_reconstruction_lies_between_marker_and_mask_and_is_final(seed, height, width):
    markers, masks = images(seed, 2, height, width, np.float32)
    found = reconstruct(markers - 0.5, masks - 0.5)  # negative values too
    assert (markers - 0.5 <= found).all() and (found <= masks - 0.5).all()
    np.testing.assert_array_equal(reconstruct(found, masks - 0.5), found)
