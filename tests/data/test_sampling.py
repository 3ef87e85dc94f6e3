import math
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.data import Manifest, draw_epoch, epoch_class_counts, get_sampling
from care_tf.data._class_aware import draw_class_aware_epoch
from care_tf.data.sampling import CLASS_COUNTS, SAMPLING
from care_tf.errors import InputError

_SAME_TOTAL = ("instance_balanced", "class_balanced", "square_root", "progressively_balanced")
_COUNTS = st.lists(st.integers(1, 500), min_size=1, max_size=8)


def _slow_counts(counts, name, progress):
    """Shares as exact fractions, one image at a time to the class that is furthest behind its share."""
    total, num_classes = sum(counts), len(counts)
    if name in ("oversample", "undersample"):
        return [max(counts) if name == "oversample" else min(counts)] * num_classes
    if name == "square_root":
        roots = [Fraction(math.isqrt(count * 10**40), 10**20) for count in counts]
        shares = [total * root / sum(roots) for root in roots]
    else:
        part = {"instance_balanced": Fraction(0), "class_balanced": Fraction(1)}.get(name, Fraction(progress))
        shares = [(1 - part) * count + part * total / num_classes for count in counts]
    result = [math.floor(share) for share in shares]
    while sum(result) < total:
        behind = [round(share - count, 9) for share, count in zip(shares, result, strict=True)]
        result[behind.index(max(behind))] += 1
    return result


def _manifest(*counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    return Manifest(tuple(f"{i}.png" for i in range(len(labels))), labels, ("NV", "MEL", "DF")[: len(counts)])


def _order(setting, manifest, batch_size=6, num_epochs=10):
    return get_sampling(setting, manifest, batch_size=batch_size, num_epochs=num_epochs)


@settings(max_examples=60, deadline=None)
@given(_COUNTS, st.sampled_from(CLASS_COUNTS), st.sampled_from([0.0, 0.125, 0.3, 0.99, 1.0]))
def test_class_counts_equal_exact_arithmetic(counts, name, progress):
    assert epoch_class_counts(counts, name, progress).tolist() == _slow_counts(counts, name, progress)


@settings(max_examples=30, deadline=None)
@given(_COUNTS, st.sampled_from(_SAME_TOTAL), st.floats(0, 1))
def test_totals_are_exact_and_no_class_is_left_out(counts, name, progress):
    drawn = epoch_class_counts(counts, name, progress)
    assert drawn.sum() == sum(counts)
    assert drawn.min() >= 1


def test_progressive_balance_goes_from_the_images_to_the_classes():
    counts = [100, 10, 2]
    path = [epoch_class_counts(counts, "progressively_balanced", t) for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    np.testing.assert_array_equal(path[0], counts)
    np.testing.assert_array_equal(path[-1], epoch_class_counts(counts, "class_balanced"))
    assert (np.diff([each[2] for each in path]) > 0).all()
    assert (np.diff([each[0] for each in path]) < 0).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 30)), min_size=1, max_size=5), st.integers(0, 2**32))
def test_an_epoch_draws_its_counts_and_repeats_no_image_before_the_others_of_its_class(pairs, seed):
    counts, to_draw = np.transpose(pairs)
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    indices = draw_epoch(labels, to_draw, np.random.default_rng(seed))
    assert indices.dtype == np.int64
    np.testing.assert_array_equal(np.bincount(labels[indices], minlength=len(counts)), to_draw)
    draws_of_image = np.bincount(indices, minlength=len(labels))
    assert all(np.ptp(draws_of_image[labels == label]) <= 1 for label in range(len(counts)))


def test_drawing_every_image_once_is_a_permutation():
    labels = np.array([0, 1, 0, 2, 1, 0])
    drawn = {tuple(draw_epoch(labels, [3, 2, 1], np.random.default_rng(seed))) for seed in range(20)}
    assert all(sorted(each) == list(range(6)) for each in drawn)
    assert len(drawn) > 15
    assert len({labels[list(each)].tobytes() for each in drawn}) > 10  # classes are mixed


def test_undersampling_takes_other_images_in_every_epoch():
    order = _order("undersample", _manifest(12, 5, 3))
    epochs = [set(order.indices(0, epoch)) for epoch in range(30)]
    assert all(len(epoch) == 9 for epoch in epochs)
    assert set.union(*epochs) == set(range(20))
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("name", [name for name in SAMPLING if name != "instance_balanced"])
def test_an_order_is_the_numpy_function_under_seed_and_epoch(name):
    manifest = _manifest(9, 4, 2)
    setting = {"name": name, **({"images_per_class": 2} if name == "class_aware" else {})}
    order = _order(setting, manifest)
    compiled = tf.function(lambda epoch: order(15, 7, epoch), input_signature=[tf.TensorSpec((), tf.int64)])
    epochs = [0, 5, 9, 2**62] if order.counts_epochs else [0, 5, -1, -(2**63), 2**63 - 1]
    drawn = []
    for epoch in epochs:
        progress = min(epoch / 10, 1.0) if name == "progressively_balanced" else 0.0
        rng = np.random.default_rng([7, epoch % 2**64])
        if name == "class_aware":
            expected = draw_class_aware_epoch(manifest.labels, 6, 2, rng)
        else:
            expected = draw_epoch(manifest.labels, epoch_class_counts([9, 4, 2], name, progress), rng)
        for indices in (order(15, 7, epoch), compiled(epoch)):
            assert indices.dtype == tf.int64 and indices.shape == (order.num_drawn,)
            np.testing.assert_array_equal(indices, expected)
        drawn.append(tuple(expected))
    assert len(set(drawn)) == len(epochs)
    assert (order.indices(8, 0) != order.indices(7, 0)).any()


def test_class_aware_batches_are_set_by_their_classes_or_by_the_images_of_each():
    by_images = _order({"name": "class_aware", "images_per_class": 2}, _manifest(9, 4, 2))
    by_classes = _order({"name": "class_aware", "classes_per_batch": 3}, _manifest(9, 4, 2))
    np.testing.assert_array_equal(by_images.indices(0, 3), by_classes.indices(0, 3))


def test_instance_balance_is_the_pipelines_own_order():
    assert _order("instance_balanced", _manifest(9, 4, 2)) is None
    assert _order({"name": "instance_balanced"}, _manifest(9, 4, 2)) is None


@pytest.mark.parametrize(
    ("counts", "name", "progress", "message"),
    [
        ([3, 2], "balanced", 0.0, "known for instance_balanced, .*undersample. Received 'balanced'"),
        ([3, 0], "square_root", 0.0, r"at least 1. Received \[3, 0\]"),
        ([], "square_root", 0.0, r"at least 1. Received \[\]"),
        ([3, 2], "progressively_balanced", 1.5, "fraction of the training, 0 to 1. Received 1.5"),
        ([3, 2], "progressively_balanced", float("nan"), "Received nan"),
    ],
)
def test_counts_that_cannot_be_are_refused(counts, name, progress, message):
    with pytest.raises(InputError, match=message):
        epoch_class_counts(counts, name, progress)


def test_drawing_from_a_class_without_images_is_refused():
    with pytest.raises(InputError, match="4 images are to be drawn of class index 1, which has none"):
        draw_epoch([0, 0, 2], [1, 4, 1], np.random.default_rng(0))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("focal", "sampling must be one of instance_balanced, .*class_aware, .*Received 'focal'"),
        ({"images_per_class": 4}, "sampling must be one of .*Received {'images_per_class': 4}"),
        (None, "sampling must be one of .*Received None"),
        ({"name": "square_root", "power": 2}, "sampling 'square_root' are: none. Received power"),
        ({"name": "class_aware", "k": 2}, r"are: images_per_class \(.*\), classes_per_batch \(.*\). Received k"),
        (
            "class_aware",
            "'class_aware' needs exactly one of images_per_class, classes_per_batch. Received 'class_aware'",
        ),
        (
            {"name": "class_aware", "images_per_class": 2, "classes_per_batch": 3},
            "'class_aware' needs exactly one of images_per_class, classes_per_batch",
        ),
        *(
            ({"name": "class_aware", "classes_per_batch": number}, f"at least 2, of which batch_size=6 .*{number}")
            for number in (1, 4, 3.0, True)
        ),
        ({"name": "class_aware", "classes_per_batch": 2}, "class DF has 2 images, and images_per_class=3 needs 3"),
        ({"name": "class_aware", "images_per_class": 3}, "class DF has 2 images, and images_per_class=3 needs 3"),
    ],
)
def test_settings_that_are_not_known_or_do_not_fit_are_refused(setting, message):
    with pytest.raises(InputError, match=message):
        _order(setting, _manifest(9, 4, 2))


def test_a_class_without_images_and_a_training_without_epochs_are_refused():
    manifest = _manifest(9, 4, 2)
    with pytest.raises(InputError, match="class_balanced needs images of every class. .* has none of DF"):
        _order("class_balanced", manifest.subset(range(13)))
    with pytest.raises(InputError, match="progressively_balanced needs num_epochs, at least 1. Received 0"):
        _order("progressively_balanced", manifest, num_epochs=0)
