"""With a lower part that passes images on, cached batches must be those of the plain pipeline, bit for bit."""

import numpy as np
import pytest

from care_tf.data import Augmentation, evaluation_dataset, get_sampling, image_loader, read_manifest, training_dataset
from care_tf.data.activation_cache import (
    activation_evaluation_dataset,
    activation_training_dataset,
    compute_activations,
    flips_of,
)
from care_tf.data.replica_share import ReplicaShare
from care_tf.datasets import SyntheticLesions
from care_tf.errors import InputError

SIZE = (24, 32)
NO_COLOR = {"rotation_degrees": 0, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
FLIPS = Augmentation(**NO_COLOR)


def unchanged(images):
    return images


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    counts = {"train_counts": (6, 5, 4, 3), "validation_counts": (1,) * 4, "test_counts": (1,) * 4}
    path = SyntheticLesions(seed=2, size_px=40, **counts).write(tmp_path_factory.mktemp("lesions") / "data")
    return read_manifest(path).select(split="train")


@pytest.fixture(scope="module")
def cache(manifest):
    return compute_activations(manifest, image_loader(manifest, SIZE, None), unchanged, flips_of(FLIPS), batch_size=5)


def assert_equal_batches(cached, plain, num_batches):
    for (a, a_labels), (b, b_labels) in zip(cached.take(num_batches), plain.take(num_batches), strict=True):
        np.testing.assert_array_equal(a["activation"], b["image"])
        np.testing.assert_array_equal(a["mask"], b["mask"])
        np.testing.assert_array_equal(a_labels, b_labels)


@pytest.mark.parametrize(
    ("sampling", "first_epoch"),
    [("instance_balanced", 0), ("oversample", 3), ({"name": "class_aware", "images_per_class": 2}, 3)],
)
def test_batches_are_those_of_the_plain_pipeline(manifest, cache, sampling, first_epoch):
    assert manifest.has_boxes.any()
    order = get_sampling(sampling, manifest, batch_size=8, num_epochs=5)
    settings = {"seed": 5, "augmentation": FLIPS, "first_epoch": first_epoch, "order": order}
    cached = activation_training_dataset(manifest, cache, SIZE, 8, **settings)
    assert_equal_batches(cached, training_dataset(manifest, SIZE, 8, **settings), num_batches=7)


@pytest.mark.parametrize("augmentation", [None, Augmentation(**NO_COLOR, vertical_flip=False)])
def test_fewer_flips_are_found_in_a_cache_of_all(manifest, cache, augmentation):
    settings = {"seed": 1, "augmentation": augmentation, "first_epoch": 0}
    cached = activation_training_dataset(manifest, cache, SIZE, 8, **settings)
    assert_equal_batches(cached, training_dataset(manifest, SIZE, 8, **settings), num_batches=4)


def test_shares_make_up_the_batches(manifest, cache):
    def training(share):
        settings = {"seed": 1, "augmentation": FLIPS, "first_epoch": 0, "share": share}
        return activation_training_dataset(manifest, cache, SIZE, 8, **settings).take(3)

    def evaluation(share):
        return activation_evaluation_dataset(manifest, cache, SIZE, 8, masks=True, share=share)

    for make in (training, evaluation):
        own = [list(make(ReplicaShare(first, 1, 2))) for first in range(2)]
        for (x, y), *parts in zip(make(None), *own, strict=True):
            np.testing.assert_array_equal(np.concatenate([labels for _, labels in parts]), y)
            for key in ("activation", "mask"):
                np.testing.assert_array_equal(np.concatenate([given[key] for given, _ in parts]), x[key])


def test_rows_are_found_by_their_path(manifest, cache):
    some = manifest.subset(np.array([7, 2, 11, 16, 0]))
    cached = activation_evaluation_dataset(some, cache, SIZE, 2, masks=True)
    assert_equal_batches(cached, evaluation_dataset(some, SIZE, 2, masks=True), num_batches=3)
    inputs, _ = next(iter(activation_evaluation_dataset(some, cache, SIZE, 2)))
    assert set(inputs) == {"activation"}


def test_a_folder_keeps_them_for_later(manifest, cache, tmp_path):
    calls = []

    def counted(images):
        calls.append(1)
        return images

    settings = (manifest, image_loader(manifest, SIZE, None), counted, flips_of(FLIPS))
    first = compute_activations(*settings, folder=tmp_path / "kept")
    num_calls = len(calls)
    second = compute_activations(*settings, folder=tmp_path / "kept")
    assert len(calls) == num_calls > 0
    for kept in (first, second):
        np.testing.assert_array_equal(kept.activations, cache.activations)
        np.testing.assert_array_equal(kept.sizes, cache.sizes)


def test_flips_are_listed_with_the_image_as_it_is_first():
    assert flips_of(None) == ((1, 1),)
    assert flips_of(FLIPS) == ((1, 1), (-1, 1), (1, -1), (-1, -1))
    assert flips_of(Augmentation(**NO_COLOR, horizontal_flip=False)) == ((1, 1), (1, -1))


@pytest.mark.parametrize("augmentation", [Augmentation(), Augmentation(**NO_COLOR, classes=("nevus",))])
def test_augmentation_that_gives_new_images_is_refused(augmentation):
    with pytest.raises(InputError, match="cached for flips of all classes only.*set cache_activations to false"):
        flips_of(augmentation)


def test_flips_that_were_not_computed_are_refused(manifest):
    plain = compute_activations(manifest, image_loader(manifest, SIZE, None), unchanged, flips_of(None))
    with pytest.raises(InputError, match="lack the flips"):
        activation_training_dataset(manifest, plain, SIZE, 8, seed=0, augmentation=FLIPS)
