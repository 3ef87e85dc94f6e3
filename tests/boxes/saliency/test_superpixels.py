import cv2
import numpy as np
import pytest
from skimage.color import rgb2lab
from skimage.segmentation import slic

from care_tf.boxes.saliency._superpixels import (
    SCALES,
    lab_image,
    pixel_features,
    superpixel_features,
    superpixel_labels,
    touches_edge,
)


@pytest.fixture(scope="module")
def image():
    """Smooth blobs of color."""
    noise = np.random.default_rng(0).integers(60, 200, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(noise, (80, 60), interpolation=cv2.INTER_CUBIC)


def slow_edges(labels):
    """A superpixel with a pixel at the image's rim or beside one outside the field."""
    height, width = labels.shape
    found = set()
    for row in range(height):
        for column in range(width):
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    i, j = row + down, column + right
                    outside = not (0 <= i < height and 0 <= j < width) or labels[i, j] < 0
                    if labels[row, column] >= 0 and outside:
                        found.add(int(labels[row, column]))
    return found


def test_lab_is_scikit_images(image):
    np.testing.assert_allclose(lab_image(image), rgb2lab(image), atol=0.6)


def test_superpixels_are_scikit_images(image):
    """On an image whose Lab values fill 0 .. 100, `slic` rescales by 100, and so is its compactness."""
    lab = lab_image(image)
    lab = (lab - lab.min()) / (lab.max() - lab.min()) * 100
    field = np.ones(image.shape[:2], bool)
    expected = slic(lab / 100, 50, 10 / 100, max_num_iter=10, convert2lab=False, start_label=0)
    np.testing.assert_array_equal(superpixel_labels(lab, field, 50, 10.0, 10), expected)


def test_compactness_does_not_depend_on_the_contrast(image):
    field = np.ones(image.shape[:2], bool)
    lab = lab_image(image)
    low = superpixel_labels(lab, field, 60, 10.0)
    np.testing.assert_array_equal(superpixel_labels(lab / 4, field, 60, 2.5), low)
    assert not np.array_equal(superpixel_labels(lab / 4, field, 60, 10.0), low)


@pytest.mark.parametrize(("count", "compactness"), SCALES)
def test_labels_are_numbered_without_gaps_and_stay_in_the_field(image, count, compactness):
    field = np.ones(image.shape[:2], bool)
    field[:10, :20] = field[30:33] = False
    labels = superpixel_labels(lab_image(image), field, count, compactness)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels >= 0, field)
    assert set(np.unique(labels[field])) == set(range(labels.max() + 1))
    assert 0.5 * count < labels.max() + 1 < 1.5 * count


def test_features_equal_the_slow_oracle(image):
    field = np.ones(image.shape[:2], bool)
    field[:, :7] = False
    lab = lab_image(image)
    features = pixel_features(image, lab, field)
    labels = superpixel_labels(lab, field, 30, 10.0)
    means = superpixel_features(features, labels)
    inside = lab[field]
    assert labels.max() > 10
    for label in (0, 5, labels.max()):
        rows, columns = np.nonzero(labels == label)
        colors = image[rows, columns].mean(axis=0) / 255
        scaled = (lab[rows, columns].mean(axis=0) - inside.min(axis=0)) / (inside.max(axis=0) - inside.min(axis=0))
        expected = [*colors, *scaled, columns.mean() / 80, rows.mean() / 60]
        np.testing.assert_allclose(means[label], expected, rtol=1e-5, atol=1e-6)
    assert features[field].min() >= 0 and features[field].max() <= 1


def test_gray_has_no_color_features(image):
    gray = np.repeat(image[..., :1], 3, axis=2)
    features = pixel_features(gray, lab_image(gray), np.ones(gray.shape[:2], bool))
    assert not features[..., 4:6].any()
    assert features[..., 3].min() == 0 and features[..., 3].max() == 1


def test_edges_equal_the_slow_oracle(image):
    for hole in (slice(0, 0), slice(20, 31)):
        field = np.ones(image.shape[:2], bool)
        field[hole, 20:40] = False
        labels = superpixel_labels(lab_image(image), field, 100, 10.0)
        found = touches_edge(labels)
        assert found.shape == (labels.max() + 1,) and not found.all()
        assert set(np.flatnonzero(found)) == slow_edges(labels)
