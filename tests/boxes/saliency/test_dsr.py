import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from care_tf.box_geometry import box_iou, tight_box
from care_tf.boxes._from_map import boxes_from_map
from care_tf.boxes.saliency import _superpixels
from care_tf.boxes.saliency._bayesian import integrate
from care_tf.boxes.saliency._dsr import BOX_SETTINGS, PLAIN_RECIPE, dsr_saliency
from care_tf.boxes.saliency._frame import dark_frame
from care_tf.boxes.saliency._hair import without_hair
from care_tf.boxes.saliency._pixel_saliency import object_biased, pixel_map
from care_tf.boxes.saliency._propagation import cluster_labels, propagate
from care_tf.boxes.saliency._reconstruction import dense_error, sparse_errors
from care_tf.errors import InputError


def lesion_image(height=90, width=120, seed=0, has_frame=False, is_gray=False):
    """A soft dark ellipse on noisy, shaded skin, and its mask."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    inside = ((columns - 0.55 * width) / (0.2 * width)) ** 2 + ((rows - 0.45 * height) / (0.22 * height)) ** 2 <= 1
    weight = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 1.5)[..., np.newaxis]
    skin = np.array([215, 165, 150]) * np.linspace(0.92, 1.0, width)[np.newaxis, :, np.newaxis]
    image = skin * (1 - weight) + np.array([120, 70, 60]) * weight + rng.normal(0, 4, (height, width, 3))
    image = np.clip(image, 0, 255).astype(np.uint8)
    if is_gray:
        image = np.repeat(image[..., :1], 3, axis=2)
    if has_frame:
        center = ((columns - width / 2) ** 2 + (rows - height / 2) ** 2) <= (0.5 * width) ** 2
        image = np.where(center[..., np.newaxis], image, 6).astype(np.uint8)
    return image, inside


def iou(saliency, inside):
    return float(box_iou(tight_box(saliency >= 0.5), tight_box(inside))[0, 0])


def slow_scaled(values):
    return (values - values.min()) / (values.max() - values.min())


def test_the_plain_recipe_is_its_steps_in_order():
    """Steps 1 to 10 as the recipe lists them, one scale and one map after the other."""
    image, _ = lesion_image()
    lab = _superpixels.lab_image(image)
    everywhere = np.ones(image.shape[:2], bool)
    features = _superpixels.pixel_features(image, lab, everywhere)
    labels, means, errors = [], [], []
    for count, compactness in [(50, 10), (100, 10), (150, 20), (200, 20), (250, 25), (300, 25), (350, 30), (400, 30)]:
        labels.append(_superpixels.superpixel_labels(lab, everywhere, count, compactness, 10))
        means.append(_superpixels.superpixel_features(features, labels[-1]))
        background = _superpixels.touches_edge(labels[-1])
        both = dense_error(means[-1], background), sparse_errors([means[-1]], [background])[0]
        errors.append(np.stack([slow_scaled(error) for error in both], axis=1))
    everything = np.concatenate(means)
    mixed = propagate(np.concatenate(errors), everything, cluster_labels(everything, 8))
    maps, start = [], 0
    for kind in range(2):
        scaled, start, of_scale = slow_scaled(mixed[:, kind]), 0, []
        for scale_means in means:
            of_scale.append(scaled[start : start + len(scale_means), np.newaxis])
            start += len(scale_means)
        values = pixel_map(features, labels, means, of_scale)[..., 0]
        maps.append(slow_scaled(object_biased(slow_scaled(values), 0.25)))
    expected = integrate(*maps)
    np.testing.assert_allclose(dsr_saliency(image, **PLAIN_RECIPE), expected, atol=1e-5)


@pytest.mark.parametrize("is_gray", [False, True])
@pytest.mark.parametrize("settings_", [{}, PLAIN_RECIPE])
def test_a_lesion_is_found(settings_, is_gray):
    image, inside = lesion_image(is_gray=is_gray)
    saliency = dsr_saliency(image, **settings_)
    assert saliency.dtype == np.float32 and saliency.shape == inside.shape
    assert saliency.min() == 0 and saliency.max() == 1
    assert saliency[inside].mean() > 0.8 and saliency[~inside].mean() < 0.15
    assert iou(saliency, inside) > 0.7


@pytest.mark.parametrize("has_frame", [False, True])
def test_the_box_of_a_lesion(has_frame):
    image, inside = lesion_image(has_frame=has_frame)
    found = boxes_from_map(dsr_saliency(image), **BOX_SETTINGS)
    assert found.shape == (1, 4)
    assert box_iou(found, tight_box(inside))[0, 0] > 0.7


def test_the_frame_is_zero_and_does_not_attract():
    image, inside = lesion_image(has_frame=True)
    frame = dark_frame(image)
    assert frame.any()
    for max_side_px in (None, 70):
        saliency = dsr_saliency(image, max_side_px=max_side_px)
        assert not saliency[frame].any() and saliency.max() == 1
        assert iou(saliency, inside) > 0.7


def test_each_preparation_is_what_it_says():
    image, _ = lesion_image(has_frame=True)
    cv2.line(image, (0, 20), (119, 60), (25, 20, 20), 1)
    plain = dsr_saliency(image, **PLAIN_RECIPE)
    assert not np.array_equal(dsr_saliency(image, **{**PLAIN_RECIPE, "ignore_dark_frame": True}), plain)
    without = dsr_saliency(image, **{**PLAIN_RECIPE, "remove_hair": True})
    np.testing.assert_array_equal(without, dsr_saliency(without_hair(image), **PLAIN_RECIPE))
    assert not np.array_equal(without, plain)
    small = cv2.resize(image, (60, 45), interpolation=cv2.INTER_AREA)
    enlarged = cv2.resize(dsr_saliency(small, **PLAIN_RECIPE), (120, 90), interpolation=cv2.INTER_LINEAR)
    found = dsr_saliency(image, **{**PLAIN_RECIPE, "max_side_px": 60})
    np.testing.assert_allclose(found, slow_scaled(enlarged), atol=1e-6)


def test_a_larger_image_has_the_same_map():
    image, inside = lesion_image()
    larger = cv2.resize(image, (360, 270), interpolation=cv2.INTER_CUBIC)
    saliency = dsr_saliency(larger, max_side_px=120)
    assert saliency.shape == (270, 360) and saliency.max() == 1
    assert iou(saliency, cv2.resize(inside.astype(np.uint8), (360, 270), interpolation=cv2.INTER_NEAREST)) > 0.7


@pytest.mark.parametrize("settings_", [{}, PLAIN_RECIPE])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_flat_image_has_no_saliency(settings_, value):
    image = np.full((45, 61, 3), value, np.uint8)
    image[::2] ^= 1  # one gray level
    saliency = dsr_saliency(image, **settings_)
    assert saliency.shape == (45, 61) and not saliency.any()


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 20), width=st.integers(1, 20), seed=st.integers(0, 3), is_plain=st.booleans())
def test_tiny_images_have_finite_maps(height, width, seed, is_plain):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    saliency = dsr_saliency(image, **(PLAIN_RECIPE if is_plain else {}))
    assert saliency.shape == (height, width) and np.isfinite(saliency).all()
    assert saliency.min() >= 0 and saliency.max() <= 1


def test_the_map_does_not_depend_on_threads():
    image, _ = lesion_image()
    num_threads = cv2.getNumThreads()
    maps = []
    try:
        for limit in (1, 4):
            cv2.setNumThreads(limit)
            with threadpool_limits(limit):
                maps.append(dsr_saliency(image, **PLAIN_RECIPE))
    finally:
        cv2.setNumThreads(num_threads)
    np.testing.assert_array_equal(*maps)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"max_side_px": 15}, "max_side_px must be at least 16.*Received max_side_px=15"),
        ({"num_iterations": 0}, "at least one round"),
    ],
)
def test_settings_out_of_range_are_refused(settings_, message):
    with pytest.raises(InputError, match=message):
        dsr_saliency(np.zeros((20, 20, 3), np.uint8), **settings_)
