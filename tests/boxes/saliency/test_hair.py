import cv2
import numpy as np
import pytest
from scipy import ndimage

from care_tf.boxes.saliency._hair import without_hair


@pytest.fixture
def skin():
    """Skin with a lesion."""
    image = np.full((120, 160, 3), (210, 170, 160), np.uint8)
    cv2.circle(image, (80, 60), 25, (90, 50, 45), -1)
    return image


def slow_without_hair(image, diameter, min_depth):
    offsets = np.argwhere(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter)))
    footprint = np.zeros((diameter, diameter), bool)
    footprint[tuple(offsets.T)] = True
    channels = [image[..., channel] for channel in range(3)]
    closed = [ndimage.grey_dilation(c, footprint=footprint, mode="constant", cval=0) for c in channels]
    closed = [ndimage.grey_erosion(c, footprint=footprint, mode="constant", cval=255) for c in closed]
    closed = np.stack(closed, axis=-1)
    is_hair = ((closed.astype(int) - image) > min_depth).any(axis=-1)
    is_hair = ndimage.binary_dilation(is_hair, np.ones((3, 3)))
    return np.where(is_hair[..., None], closed, image)


def test_it_equals_the_slow_oracle():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    np.testing.assert_array_equal(without_hair(image, 0.1, 30), slow_without_hair(image, 5, 30))


def test_hairs_go_and_the_lesion_stays(skin):
    hairy = skin.copy()
    for start, end in (((0, 10), (159, 30)), ((20, 0), (40, 119)), ((150, 119), (120, 60))):
        cv2.line(hairy, start, end, (30, 25, 25), 2)
    cleaned = without_hair(hairy)
    assert (np.abs(hairy.astype(int) - skin).max(axis=-1) > 5).sum() > 500
    assert (np.abs(cleaned.astype(int) - skin).max(axis=-1) > 5).sum() < 40


def test_without_hair_only_the_tips_of_a_lesion_change(skin):
    changed = (without_hair(skin) != skin).any(axis=-1)
    assert changed.sum() <= 8  # no disc fits into the ends of a digital circle
    flat = np.full((30, 30, 3), 120, np.uint8)
    np.testing.assert_array_equal(without_hair(flat), flat)


def test_faint_lines_and_tiny_images_stay():
    faint = np.full((100, 100, 3), 200, np.uint8)
    faint[:, 10] -= 15
    np.testing.assert_array_equal(without_hair(faint), faint)
    assert (without_hair(faint, min_depth=10) == 200).all()
    tiny = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    np.testing.assert_array_equal(without_hair(tiny), tiny)
