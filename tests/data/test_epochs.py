from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from care_tf.data import Manifest, epoch_indices, epoch_order, get_sampling, num_drawn
from care_tf.errors import InputError


def _rows(dataset, count=None):
    """Indices and seeds of the first `count` batches."""
    batches = list(dataset if count is None else dataset.take(count))
    return [np.concatenate([batch[part].numpy() for batch in batches]) for part in (0, 1)]


def _manifest(*counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    return Manifest(tuple(f"{i}.png" for i in range(len(labels))), labels, tuple("abcdefg"[: len(counts)]))


def test_seeds_are_a_key_of_the_epoch_and_the_image_with_the_times_it_was_drawn_before():
    order = np.random.default_rng(0).integers(0, 7, 40)
    dataset = epoch_indices(7, 16, seed=3, first_epoch=5, order=lambda n, seed, epoch: tf.constant(order))
    indices, seeds = _rows(dataset, 3)
    before, expected = Counter(), []
    for index in order.tolist():
        expected.append(index + 7 * before[index])
        before[index] += 1
    key = tf.random.stateless_uniform((), [3, 5], None, None, tf.int64, alg="philox")
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(seeds[:, 1], expected)
    assert (seeds[:, 0] == key.numpy()).all()


def test_a_plain_shuffle_has_the_images_themselves_as_seeds():
    # Recorded before images could be drawn twice: a change here changes every training run.
    indices, seeds = _rows(epoch_indices(11, 4, seed=1, first_epoch=3), 6)
    np.testing.assert_array_equal(indices[:11], [9, 6, 1, 7, 4, 5, 3, 8, 10, 2, 0])
    np.testing.assert_array_equal(indices[11:], [0, 1, 7, 4, 9, 10, 3, 8, 6, 2, 5])
    np.testing.assert_array_equal(seeds[:, 0], np.repeat([5591785196630141735, 5550763537150059420], 11))
    np.testing.assert_array_equal(seeds[:, 1], indices)


def test_one_iteration_is_an_epoch_and_a_stream_has_no_end():
    once, stream = epoch_indices(11, 4, seed=1), epoch_indices(11, 4, seed=1, first_epoch=0)
    assert (once.cardinality(), stream.cardinality()) == (3, tf.data.INFINITE_CARDINALITY)
    assert [len(index) for index, _ in once] == [4, 4, 3]
    assert once.element_spec == (tf.TensorSpec((None,), tf.int64), tf.TensorSpec((None, 2), tf.int64))


@pytest.mark.parametrize("setting", ["class_balanced", {"name": "class_aware", "images_per_class": 2}])
def test_an_epoch_is_the_same_whatever_epoch_the_stream_started_at(setting):
    manifest = _manifest(9, 4, 2)
    order = get_sampling(setting, manifest, batch_size=4, num_epochs=4)
    steps = -(-num_drawn(15, order) // 4)
    whole = _rows(epoch_indices(15, 4, seed=2, first_epoch=0, order=order), 3 * steps)
    again = _rows(epoch_indices(15, 4, seed=2, first_epoch=2, order=order), steps)
    for uninterrupted, resumed in zip(whole, again, strict=True):
        np.testing.assert_array_equal(uninterrupted[2 * num_drawn(15, order) :], resumed)
    assert (whole[0][: len(again[0])] != again[0]).any()


def test_random_epoch_numbers_reach_a_sampler_reproducibly():
    order = get_sampling("class_balanced", _manifest(9, 4, 2), batch_size=4, num_epochs=4)
    dataset, same = (epoch_indices(15, 4, seed=2, order=order) for _ in range(2))
    epochs = [_rows(dataset)[0] for _ in range(6)]  # about half of the random epoch numbers are negative
    assert len({tuple(epoch) for epoch in epochs}) == 6
    np.testing.assert_array_equal(epochs, [_rows(same)[0] for _ in range(6)])


def test_orders_of_small_integers_are_taken_as_indices():
    dataset = epoch_indices(5, 2, seed=0, order=lambda n, seed, epoch: tf.constant([3, 1, 3], tf.int32))
    assert _rows(dataset)[0].tolist() == [3, 1, 3]


def test_num_drawn_is_the_length_of_an_epoch():
    assert num_drawn(15) == num_drawn(15, epoch_order) == 15
    assert num_drawn(15, get_sampling("oversample", _manifest(9, 4, 2), batch_size=4, num_epochs=1)) == 27


def test_epoch_order_is_a_permutation_of_seed_and_epoch():
    orders = [tuple(epoch_order(50, seed, epoch).numpy()) for seed, epoch in [(0, 0), (0, 1), (1, 0), (0, 0)]]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert orders[0] == orders[3]
    assert len(set(orders)) == 3
    assert epoch_order(50, 0, 0).dtype == tf.int64


def test_every_image_is_equally_likely_in_every_place():
    first = np.array([epoch_order(5, 3, epoch)[0] for epoch in range(400)])
    assert np.bincount(first, minlength=5).min() > 50


@pytest.mark.parametrize(
    ("setting", "num_images", "batch_size", "message"),
    [
        ("square_root", 14, 4, "Sampling square_root was made for a manifest of 15 images, and the dataset has 14"),
        ({"name": "class_aware", "images_per_class": 2}, 15, 6, "was made for batches of 4, .* has batches of 6"),
        ("progressively_balanced", 15, 4, "progressively_balanced depends on the number of the epoch, .*first_epoch"),
    ],
)
def test_orders_that_do_not_fit_the_dataset_are_refused(setting, num_images, batch_size, message):
    order = get_sampling(setting, _manifest(9, 4, 2), batch_size=4, num_epochs=4)
    with pytest.raises(InputError, match=message):
        epoch_indices(num_images, batch_size, seed=0, order=order)
