import numpy as np
import pytest
from scipy import ndimage
from skimage import morphology

from care_tf.boxes.saliency._bms_post_processing import dilate, erode, reconstructed, smoothed
from care_tf.boxes.saliency._scaling import min_max

# oracle


@pytest.mark.parametrize("width", [1, 3, 7])
def test_dilation_and_erosion_pixel_by_pixel(slow_spread, width):
    values = np.random.default_rng(0).random((11, 14)).astype(np.float32)
    np.testing.assert_array_equal(dilate(values, width), slow_spread(values, width, np.max))
    np.testing.assert_array_equal(erode(values, width), slow_spread(values, width, np.min))


def test_smoothing_against_scipy(slow_spread):
    saliency = np.random.default_rng(0).random((60, 90)).astype(np.float32)
    blurred = ndimage.gaussian_filter(slow_spread(saliency, 9, np.max).astype(float), 9, mode="mirror", truncate=4)
    expected = (blurred - blurred.min()) / np.ptp(blurred)
    np.testing.assert_allclose(smoothed(saliency), expected, atol=1e-4)


def test_the_salient_object_post_processing_step_by_step(slow_spread):
    rng = np.random.default_rng(5)
    saliency = 0.3 * ndimage.gaussian_filter(rng.random((60, 80)), 1).astype(np.float32)
    saliency[15:39, 20:44] += 0.2 * rng.random((24, 24)) + 1.0
    scaled = (saliency - saliency.min()) / np.ptp(saliency)
    width = max(int(np.floor(np.sqrt(scaled.mean()) * 50)), 3)
    assert 3 < width < 24
    opened = morphology.reconstruction(slow_spread(scaled, width, np.min), scaled, method="dilation")
    even = morphology.reconstruction(slow_spread(opened, width, np.max), opened, method="erosion")
    even = (even - even.min()) / np.ptp(even)
    levels = np.rint(255 * even).reshape(-1)
    spreads = [_variance_between(levels, threshold) for threshold in range(255)]
    is_high = levels > int(np.argmax(spreads))
    middle = (even.reshape(-1)[is_high].mean() + even.reshape(-1)[~is_high].mean()) / 2
    curve = 1 / (1 + np.exp(-10 * (even - middle)))
    np.testing.assert_allclose(reconstructed(saliency), (curve - curve.min()) / np.ptp(curve), atol=1e-5)


def _variance_between(levels, threshold):
    low, high = levels[levels <= threshold], levels[levels > threshold]
    return len(low) * len(high) * (low.mean() - high.mean()) ** 2 if len(low) and len(high) else -1.0


# edges


def test_flat_maps_stay_flat():
    assert not reconstructed(np.zeros((4, 5), np.float32)).any()
    assert not smoothed(np.full((4, 5), 2, np.float32)).any()
    assert not min_max(np.full((2, 2), 3.5)).any()


def test_a_map_of_one_pixel_or_column_keeps_its_shape():
    for shape in ((1, 1), (4, 1), (1, 4)):
        values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        assert reconstructed(values).shape == shape
        assert smoothed(values).shape == shape
