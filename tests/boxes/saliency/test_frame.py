import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.boxes.saliency import bms_saliency, dsr_saliency
from care_tf.boxes.saliency._frame import dark_frame
from care_tf.boxes.saliency._hair import without_hair
from care_tf.errors import InputError

SIZES = ((150, 200), (225, 300), (97, 61), (450, 600))


def skin(height, width, seed=0):
    """Noisy skin with a little shading."""
    rng = np.random.default_rng(seed)
    shade = np.linspace(0.9, 1.0, width)[np.newaxis, :, np.newaxis]
    return np.clip(np.array([215, 170, 160]) * shade + rng.normal(0, 4, (height, width, 3)), 0, 255).astype(np.uint8)


def disc(height, width, center_x, center_y, radius):
    rows, columns = np.mgrid[:height, :width]
    return (columns - center_x) ** 2 + (rows - center_y) ** 2 <= radius**2


def depth(region):
    """The distance of every pixel of a region from its edge inside the image, px; 0 outside."""
    return cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, 5)


def overlap(first, second):
    return (first & second).sum() / (first | second).sum()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("softness", [0.0, 0.01])
@pytest.mark.parametrize("shift", [0.0, 0.08])
def test_a_vignette_is_found(size, softness, shift):
    height, width = size
    longer = max(size)
    field = disc(height, width, width * (0.5 + shift), height * 0.5, longer * 0.5)
    weight = field.astype(np.float32)
    if softness:
        weight = cv2.GaussianBlur(weight, (0, 0), softness * longer)
    image = (skin(height, width) * weight[..., np.newaxis]).astype(np.uint8)
    found = dark_frame(image)
    assert found.dtype == bool and found.shape == size
    reach_px = 0.02 * longer + 4
    assert found[depth(~field) > reach_px].all()
    assert not found[depth(field) > reach_px].any()


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_one_dark_corner_is_found(corner):
    height, width = 150, 200
    field = disc(height, width, width * (0.6 - 0.2 * corner[1]), height * (0.6 - 0.2 * corner[0]), 130)
    image = np.where(field[..., np.newaxis], skin(height, width), 8).astype(np.uint8)
    assert 0 < (~field).sum() < 4000
    found = dark_frame(image)
    assert found[depth(~field) > 6].all() and found.any()
    assert not found[depth(field) > 4].any()


def test_bars_on_any_side_are_found():
    image = skin(150, 200)
    image[:12] = image[-9:] = image[:, :20] = 5
    bars = np.zeros((150, 200), bool)
    bars[:12] = bars[-9:] = bars[:, :20] = True
    found = dark_frame(image)
    assert found[bars].all()
    assert not found[16:-13, 24:].any()


@pytest.mark.parametrize("size", SIZES)
def test_skin_has_no_frame(size):
    assert not dark_frame(skin(*size)).any()


@pytest.mark.parametrize("color", [(60, 30, 25), (25, 15, 12), (4, 4, 4)])
@pytest.mark.parametrize("place", [(100, 0), (0, 75), (199, 60), (0, 0), (199, 149), (100, 75)])
def test_a_dark_lesion_at_the_border_is_no_frame(color, place):
    lesion = disc(150, 200, *place, 45)
    image = np.where(lesion[..., np.newaxis], np.array(color), skin(150, 200)).astype(np.uint8)
    assert not (dark_frame(image) & lesion).any()


def test_a_lesion_that_meets_the_vignette_stays_visible():
    field = disc(150, 200, 100, 75, 100)
    lesion = disc(150, 200, 40, 75, 38) & field
    image = np.where(lesion[..., np.newaxis], np.array((70, 35, 30)), skin(150, 200))
    image = np.where(field[..., np.newaxis], image, 6).astype(np.uint8)
    found = dark_frame(image)
    assert found[0, 0] and found[0, -1] and found[-1, 0] and found[-1, -1]
    assert (found & lesion).sum() < 0.05 * lesion.sum()


def test_hair_on_a_vignette_is_no_frame():
    field = disc(150, 200, 100, 75, 100)
    image = np.where(field[..., np.newaxis], skin(150, 200), 4).astype(np.uint8)
    without = dark_frame(image)
    for column in (30, 60, 140):
        cv2.line(image, (column, 0), (column + 20, 70), (20, 15, 15), 2)
    assert overlap(dark_frame(image), without) > 0.9


def test_a_textured_dark_corner_is_no_frame():
    rng = np.random.default_rng(0)
    image = skin(150, 200)
    corner = ~disc(150, 200, 120, 90, 130)
    image[corner] = rng.integers(0, 2, (corner.sum(), 1)) * 60  # a smooth one of the same mean is a frame
    assert not dark_frame(image).any()
    image[corner] = 30
    assert dark_frame(image).any()


def test_dark_images_have_no_frame():
    assert not dark_frame(np.zeros((50, 60, 3), np.uint8)).any()
    assert not dark_frame(np.full((50, 60, 3), 30, np.uint8)).any()
    image = np.zeros((100, 100, 3), np.uint8)
    image[40:70, 40:70] = 200  # a tenth of the image: an object on black, not a field
    assert not dark_frame(image).any()


def test_the_frame_of_a_grayscale_radiograph():
    image = np.full((200, 200, 3), 120, np.uint8)
    image[:, :15] = image[:, -15:] = 0
    found = dark_frame(image)
    assert found[:, :15].all() and found[:, -15:].all() and not found[:, 20:-20].any()


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 24), width=st.integers(1, 24), seed=st.integers(0, 5))
def test_small_images(height, width, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    found = dark_frame(image)
    assert found.shape == (height, width) and found.dtype == bool and found.mean() < 0.8


@pytest.mark.parametrize("function", [dark_frame, without_hair, bms_saliency, dsr_saliency])
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((4, 4, 3), float), ((4, 4), np.uint8), ((4, 4, 4), np.uint8), ((0, 4, 3), np.uint8), ((1, 4, 4, 3), np.uint8)],
)
def test_what_is_no_image_is_refused(function, shape, dtype):
    message = r"uint8 \(H, W, 3\) RGB with at least one pixel. Received .* of shape .*read_image"
    with pytest.raises(InputError, match=message):
        function(np.zeros(shape, dtype))
