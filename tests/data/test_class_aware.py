import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.data._class_aware import check_class_aware, draw_class_aware_epoch
from care_tf.errors import InputError


@st.composite
def _cases(draw):
    """Labels in any order, with P and K that fit them."""
    images_per_class = draw(st.integers(2, 4))
    counts = draw(st.lists(st.integers(images_per_class, 15), min_size=2, max_size=6))
    classes_per_batch = draw(st.integers(2, len(counts)))
    labels = np.random.default_rng(draw(st.integers(0, 99))).permutation(np.repeat(np.arange(len(counts)), counts))
    return labels, classes_per_batch, images_per_class


@settings(max_examples=60, deadline=None)
@given(_cases(), st.integers(0, 2**32))
def test_batches_hold_p_classes_with_k_different_images_drawn_equally_often(case, seed):
    labels, classes_per_batch, images_per_class = case
    batch_size = classes_per_batch * images_per_class
    indices = draw_class_aware_epoch(labels, batch_size, images_per_class, np.random.default_rng(seed))
    assert indices.dtype == np.int64
    assert len(indices) == -(-len(labels) // batch_size) * batch_size
    for batch in indices.reshape(-1, batch_size):
        assert len(set(batch)) == batch_size
        in_batch = np.bincount(labels[batch])
        assert in_batch[in_batch > 0].tolist() == [images_per_class] * classes_per_batch
    draws_of_class = np.bincount(labels[indices]) / images_per_class
    assert np.ptp(draws_of_class) <= 1
    draws_of_image = np.bincount(indices, minlength=len(labels))
    assert all(np.ptp(draws_of_image[labels == label]) <= 1 for label in np.unique(labels))


def test_a_class_is_cycled_without_favorites():
    # Five images in groups of four: nearly every group lies across a seam.
    labels = np.repeat([0, 1], [395, 5])
    draws = [draw_class_aware_epoch(labels, 8, 4, np.random.default_rng(seed)) for seed in range(4)]
    counts = np.bincount(np.concatenate(draws), minlength=400)[395:]
    assert counts.tolist() == [160] * 5
    pairs = np.concatenate(draws).reshape(-1, 2, 4)
    groups = np.sort(pairs[pairs >= 395].reshape(-1, 4))
    left_out = 5 * 397 - groups.sum(1)
    assert np.bincount(left_out - 395, minlength=5).min() > 25  # 40 each of 200


def test_the_generator_decides_everything():
    labels = np.repeat([0, 1, 2], [20, 9, 4])
    first, again, other = (draw_class_aware_epoch(labels, 6, 3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


_COUNTS = {"NV": 40, "MEL": 10, "DF": 3}


@pytest.mark.parametrize(("batch_size", "images_per_class"), [(4, 2), (6, 2), (6, 3), (9, 3)])
def test_what_fits_is_let_through(batch_size, images_per_class):
    check_class_aware(_COUNTS, batch_size, images_per_class)


@pytest.mark.parametrize(
    ("batch_size", "images_per_class", "message"),
    [
        (6, 1, "whole number, at least 2. Received 1; with batch_size=6, images_per_class may be 2 or 3.$"),
        (6, 2.0, "whole number, at least 2. Received 2.0; "),
        (6, True, "whole number, at least 2. Received True; "),
        (8, 4, "class DF has 3 images, and images_per_class=4 needs 4 different .*batch_size may be 6 or 9.$"),
        (7, 2, "batch_size=7 is not a multiple of images_per_class=2; with images_per_class=2, .* may be 4 or 6.$"),
        (8, 3, "not a multiple of images_per_class=3; with images_per_class=3, batch_size may be 6 or 9.$"),
        (3, 3, "asks for 1 classes per batch, and there must be 2 to 3; with images_per_class=3, .* 6 or 9.$"),
        (9, 2, "not a multiple .*; with batch_size=9, images_per_class may be 3; with images_per_class=2, .* 4 or 6.$"),
        (8, 2, "asks for 4 classes per batch, and there must be 2 to 3; .* 4 or 6.$"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(batch_size, images_per_class, message):
    with pytest.raises(InputError, match=message):
        check_class_aware(_COUNTS, batch_size, images_per_class)


@pytest.mark.parametrize("counts", [{"NV": 40, "DF": 1}, {"NV": 40}])
def test_data_for_which_nothing_fits_are_refused(counts):
    with pytest.raises(InputError, match="at least two classes, with at least two images each"):
        check_class_aware(counts, 8, 4)


def test_a_single_image_is_named():
    with pytest.raises(InputError, match="class DF has 1 image, and images_per_class=4 needs 4 different ones"):
        check_class_aware({"NV": 40, "DF": 1}, 8, 4)
