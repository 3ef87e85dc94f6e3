import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from care_tf.boxes.saliency._bms import (
    FORMS,
    attention_of,
    attention_sum,
    bms_saliency,
    border_levels,
    dilated_bits,
    fill_frame,
    lab_channels,
    surrounded_regions,
    whitened_channels,
)
from care_tf.boxes.saliency._bms_post_processing import reconstructed, smoothed
from care_tf.boxes.saliency._frame import dark_frame
from care_tf.errors import InputError


def _slow_surrounded(boolean_map):
    """Walks in from every set pixel of the border, over set neighbors, and erases what it reaches."""
    left = boolean_map.copy()
    height, width = left.shape
    border = [(i, j) for i in range(height) for j in range(width) if i in (0, height - 1) or j in (0, width - 1)]
    while border:
        i, j = border.pop()
        if 0 <= i < height and 0 <= j < width and left[i, j]:
            left[i, j] = 0
            border += [(i + di, j + dj) for di in (-1, 0, 1) for dj in (-1, 0, 1)]
    return left


def _random_map(seed, height=14, width=19, share=0.55):
    return np.where(np.random.default_rng(seed).random((height, width)) < share, 255, 0).astype(np.uint8)


def _lesion(height, width, seed=0):
    """A dark ellipse with a lighter spot on uneven skin."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    image = np.array([205.0, 160.0, 145.0]) + 12 * rng.random((height, width, 3))
    distance = ((rows - 0.5 * height) / (0.3 * height)) ** 2 + ((columns - 0.45 * width) / (0.2 * width)) ** 2
    image[distance < 1] -= [90, 80, 60]
    image[distance < 0.05] += [30, 60, 30]
    return cv2.GaussianBlur(image.astype(np.uint8), (0, 0), 1.5)


# oracle


def _surrounded(boolean_map):
    """`surrounded_regions` of one Boolean map: uint8 (H,W) in {0, 255} -> the same."""
    levels = (boolean_map > 0).astype(np.uint8)
    return np.where(surrounded_regions(levels, border_levels(levels[np.newaxis])[0]), 255, 0).astype(np.uint8)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.3, 0.55, 0.8])
def test_surrounded_regions_are_what_a_walk_from_the_border_does_not_reach(seed, share):
    boolean_map = _random_map(seed, share=share)
    before = boolean_map.copy()
    np.testing.assert_array_equal(_surrounded(boolean_map), _slow_surrounded(boolean_map))
    np.testing.assert_array_equal(boolean_map, before)


@pytest.mark.parametrize("seed", range(3))
def test_all_thresholds_at_once_are_one_after_the_other(seed):
    levels = np.random.default_rng(seed).integers(0, 33, (2, 13, 17)).astype(np.uint8)
    for image, border in zip(levels, border_levels(levels), strict=True):
        regions = surrounded_regions(image, border)
        assert regions.any()
        for level in range(32):
            expected = _slow_surrounded(np.where(image > level, 255, 0).astype(np.uint8)) > 0
            np.testing.assert_array_equal(regions >> np.uint32(level) & 1, expected)


@pytest.mark.parametrize("width", [1, 3, 5, 7, 9])
def test_maps_in_bits_are_dilated_each_by_itself(slow_spread, width):
    maps = np.random.default_rng(0).random((32, 12, 15)) < 0.03
    bits = (maps.astype(np.uint32) << np.arange(32, dtype=np.uint32)[:, np.newaxis, np.newaxis]).sum(0, np.uint32)
    found = dilated_bits(bits, width)
    for k, one in enumerate(maps):
        np.testing.assert_array_equal(found >> np.uint32(k) & 1, slow_spread(one, width, np.max))


def test_the_attention_of_maps_is_each_over_its_length():
    maps = np.random.default_rng(0).random((32, 12, 15)) < np.linspace(0, 0.4, 32)[:, np.newaxis, np.newaxis]
    bits = (maps.astype(np.uint32) << np.arange(32, dtype=np.uint32)[:, np.newaxis, np.newaxis]).sum(0, np.uint32)
    lengths = np.sqrt(maps.sum(axis=(1, 2), keepdims=True))
    np.testing.assert_allclose(attention_of(bits), (maps / np.maximum(lengths, 1)).sum(axis=0), rtol=1e-6)


def _one_map_after_the_other(channel, opening_width):
    """The sum of attention maps with a flood fill, a dilation and a division for every Boolean map."""
    square, total = np.ones((3, 3), np.uint8), np.zeros(channel.shape)
    for threshold in range(int(channel.min()), int(channel.max()), 8):
        for boolean_map in (channel > threshold, channel <= threshold):
            boolean_map = np.where(boolean_map, 255, 0).astype(np.uint8)
            if opening_width > 1:
                boolean_map = cv2.morphologyEx(boolean_map, cv2.MORPH_OPEN, square, iterations=opening_width // 2)
            padded = cv2.copyMakeBorder(boolean_map, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=255)
            cv2.floodFill(padded, None, (0, 0), 0, flags=8)
            regions = cv2.dilate(padded[1:-1, 1:-1], square, iterations=3) > 0
            total += regions / max(np.sqrt(regions.sum()), 1)
    return total


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 40), st.integers(1, 255), st.sampled_from([1, 3, 5]))
def test_fast_attention_equals_slow(seed, height, width, greatest, opening_width):
    rng = np.random.default_rng(seed)
    channels = rng.integers(0, greatest + 1, (height, width, 3)).astype(np.uint8)
    channels[..., 0] = cv2.GaussianBlur(np.ascontiguousarray(channels[..., 0]), (0, 0), 1.5)
    expected = sum(_one_map_after_the_other(np.ascontiguousarray(channels[..., k]), opening_width) for k in range(3))
    np.testing.assert_allclose(attention_sum(channels, opening_width), expected, rtol=1e-5, atol=1e-6)


def test_whitening_from_the_definition():
    image = _lesion(20, 26)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(float)
    covariance = np.cov(lab, rowvar=False, bias=True) + 50 * np.eye(3)
    left, values, right = np.linalg.svd(covariance)
    white = (lab - lab.mean(0)) @ (left @ np.diag(values**-0.5) @ right)
    levels = np.round(255 * (white - white.min(0)) / np.ptp(white, axis=0)).reshape(20, 26, 3)
    padded = np.pad(levels, ((1, 1), (1, 1), (0, 0)), mode="edge")
    expected = [[np.median(padded[i : i + 3, j : j + 3], axis=(0, 1)) for j in range(26)] for i in range(20)]
    assert np.abs(whitened_channels(image) - np.array(expected)).max() <= 1  # of 255: rounding at a half


def _maps_of_scipy(channels, opening_width):
    """The sum of normalized attention maps, every step with another library."""
    square, total = np.ones((3, 3)), np.zeros(channels.shape[:2])
    for k in range(3):
        channel = channels[..., k].astype(int)
        for threshold in range(channel.min(), channel.max(), 8):
            for boolean_map in (channel > threshold, channel <= threshold):
                if opening_width > 1:
                    iterations = (opening_width - 1) // 2
                    boolean_map = ndimage.binary_erosion(boolean_map, square, iterations, border_value=1)
                    boolean_map = ndimage.binary_dilation(boolean_map, square, iterations)
                regions, _ = ndimage.label(boolean_map, square)
                border = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
                kept = ndimage.binary_dilation((regions > 0) & ~np.isin(regions, border), square, 3)
                total += kept / max(np.sqrt(kept.sum()), 1)
    return total


@pytest.mark.parametrize(
    ("form", "height", "width"), [("iccv2013", 40, 600), ("tpami", 48, 400), ("tpami_object", 80, 300)]
)
def test_a_whole_map_at_its_working_size_against_scipy(form, height, width):
    image = _lesion(height, width)
    is_first = form == "iccv2013"
    total = _maps_of_scipy(lab_channels(image) if is_first else whitened_channels(image), 5 if is_first else 1)
    process = reconstructed if form == "tpami_object" else smoothed
    found = bms_saliency(image, form=form, ignore_dark_frame=False)
    np.testing.assert_allclose(found, process(total.astype(np.float32)), atol=2e-4)


# identities


def test_an_image_blurred_before_lab():
    image = _lesion(20, 30)
    kernel = np.exp(-np.array([1.0, 0.0, 1.0]) / 2)
    blurred = ndimage.convolve(
        image.astype(float), (np.outer(kernel, kernel) / kernel.sum() ** 2)[..., None], mode="mirror"
    )
    expected = cv2.cvtColor(np.rint(blurred).astype(np.uint8), cv2.COLOR_RGB2LAB).astype(int)
    assert np.abs(lab_channels(image) - expected).max() <= 2


def test_surrounded_regions_of_a_complement_are_the_holes():
    ring = np.zeros((9, 9), np.uint8)
    ring[2:7, 2:7] = 255
    ring[4, 4] = 0
    np.testing.assert_array_equal(_surrounded(ring), ring)
    hole = np.zeros((9, 9), np.uint8)
    hole[4, 4] = 255
    np.testing.assert_array_equal(_surrounded(255 - ring), hole)


def test_whitened_channels_carry_no_correlation():
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)  # the median then changes little
    smooth = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
    correlation = np.corrcoef(whitened_channels(smooth, regularizer=0.0).reshape(-1, 3), rowvar=False)
    assert np.abs(correlation - np.eye(3)).max() < 0.05


@pytest.mark.parametrize("form", FORMS)
def test_a_lesion_stands_out_and_the_skin_does_not(form):
    image = _lesion(150, 200)
    saliency = bms_saliency(image, form=form)
    assert saliency.shape == (150, 200)
    assert saliency.dtype == np.float32
    assert saliency.min() == 0
    assert saliency.max() == 1
    assert saliency[60:90, 80:100].mean() > 2 * saliency[:20].mean()


@pytest.mark.parametrize("form", FORMS)
def test_a_mirrored_image_has_the_mirrored_map(form):
    image = _lesion(60, 96)
    mirrored = bms_saliency(np.ascontiguousarray(image[:, ::-1]), form=form)
    np.testing.assert_allclose(mirrored[:, ::-1], bms_saliency(image, form=form), atol=0.05)


def test_the_dark_frame_takes_the_color_beside_it():
    image = np.full((30, 40, 3), 180, np.uint8)
    image[:, :12] = (200, 150, 140)
    frame = np.zeros((30, 40), bool)
    frame[:, :6] = True
    image[frame] = 5
    filled = fill_frame(image, frame, rim_px=3)
    assert (filled[frame] == (200, 150, 140)).all()
    np.testing.assert_array_equal(filled[~frame], image[~frame])
    assert fill_frame(image, np.zeros((30, 40), bool)) is image
    assert fill_frame(image, np.ones((30, 40), bool)) is image


def test_the_dark_frame_counts_as_nothing_unless_asked():
    image = _lesion(150, 200)
    rows, columns = np.mgrid[:150, :200]
    image[(rows - 75) ** 2 + (columns - 100) ** 2 > 105**2] = 4
    image[4:8, 4:8] = 90  # something in a corner of the frame
    frame = dark_frame(image)
    assert frame.sum() > 500
    assert bms_saliency(image)[frame].max() == 0
    assert bms_saliency(image, ignore_dark_frame=False)[frame].max() > 0


# properties


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 12), st.floats(0.1, 0.9))
def test_what_is_surrounded_is_set_off_the_border_and_stays_surrounded(seed, height, width, share):
    boolean_map = _random_map(seed, height, width, share)
    surrounded = _surrounded(boolean_map)
    assert (surrounded <= boolean_map).all()
    assert not (surrounded[[0, -1]].any() or surrounded[:, [0, -1]].any())
    np.testing.assert_array_equal(_surrounded(surrounded), surrounded)


@settings(max_examples=8)
@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 40), st.sampled_from(FORMS))
def test_any_image_has_a_finite_map_between_0_and_1(seed, height, width, form):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    if form == "iccv2013":
        height, image = min(height, width), image[:width]  # not up to 1800 px tall
    saliency = bms_saliency(image, form=form)
    assert saliency.shape == (height, width)
    assert np.isfinite(saliency).all()
    assert saliency.min() == 0
    assert saliency.max() in (0, 1)


# edges


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (200, 150, 140)])
def test_an_image_of_one_color_has_no_saliency(form, color):
    assert not bms_saliency(np.full((15, 20, 3), color, np.uint8), form=form).any()


@pytest.mark.parametrize("form", FORMS)
def test_an_edge_from_border_to_border_surrounds_nothing(form):
    image = np.full((30, 40, 3), 200, np.uint8)
    image[:, 20:] = 120
    assert not bms_saliency(image, form=form, ignore_dark_frame=False).any()


def test_one_pixel_and_one_row():
    assert bms_saliency(np.full((1, 1, 3), 9, np.uint8)).tolist() == [[0]]
    row = np.random.default_rng(0).integers(0, 256, (1, 50, 3)).astype(np.uint8)
    assert bms_saliency(row).shape == (1, 50)


def test_a_tall_image_stays_affordable():
    image = np.full((3000, 6, 3), 200, np.uint8)
    assert bms_saliency(image, form="iccv2013").shape == (3000, 6)


def test_maps_without_contrast_are_flat():
    assert not attention_sum(np.full((4, 5, 3), 7, np.uint8)).any()
    assert not attention_of(np.zeros((4, 5), np.uint32)).any()
    assert not whitened_channels(np.full((4, 5, 3), 120, np.uint8)).any()


# errors


def test_an_unknown_form_is_refused():
    with pytest.raises(InputError, match="one of iccv2013, tpami, tpami_object. Received 'cvpr'"):
        bms_saliency(np.zeros((4, 4, 3), np.uint8), form="cvpr")
