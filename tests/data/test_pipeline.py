import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from care_tf.box_geometry import union_mask
from care_tf.data import (
    Augmentation,
    Manifest,
    augment_batch,
    epoch_indices,
    evaluation_dataset,
    flip_signs,
    get_sampling,
    read_manifest,
    steps_per_epoch,
    training_dataset,
)
from care_tf.data.pipeline import load_masks
from care_tf.errors import InputError

_SIZE = (10, 20)
_FLIPS = Augmentation(rotation_degrees=0.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0)


@pytest.fixture
def manifest(image_folder):
    return read_manifest(image_folder / "manifest.csv")


def _rows(dataset, count=None):
    """All images, masks and labels of the first `count` batches."""
    batches = list(dataset if count is None else dataset.take(count))
    columns = [[x["image"] for x, _ in batches], [x["mask"] for x, _ in batches], [y for _, y in batches]]
    return [np.concatenate([part.numpy() for part in column]) for column in columns]


@pytest.fixture
def plain(manifest):
    """The manifest's images without files to decode, as a loader to pass as cache, and as an array."""
    images = np.stack([_pixels(path) for path in manifest.image_paths])
    pixels = tf.constant(images)
    return (lambda index: (pixels[index], tf.constant([10, 20]))), images


def _always(*indices):
    """The same order in every epoch."""
    return lambda num_images, seed, epoch: tf.constant(indices, tf.int64)


def _pixels(path):
    return np.asarray(Image.open(path).convert("RGB"), np.float32)


def _index_of(image, manifest):
    return next(i for i, path in enumerate(manifest.image_paths) if np.array_equal(_pixels(path), image))


def test_evaluation_yields_every_image_with_its_mask_and_label_in_order(manifest):
    images, masks, labels = _rows(evaluation_dataset(manifest, _SIZE, 4, masks=True))
    assert len(images) == 11
    for i, path in enumerate(manifest.image_paths):
        np.testing.assert_array_equal(images[i], _pixels(path))
        np.testing.assert_array_equal(masks[i, ..., 0], union_mask(manifest.boxes[i], *_SIZE))
    np.testing.assert_array_equal(labels, manifest.labels)


def test_boxes_are_resized_with_the_image(manifest):
    _, masks, _ = _rows(evaluation_dataset(manifest, (20, 10), 4, masks=True))
    for mask, boxes in zip(masks, manifest.boxes, strict=True):
        np.testing.assert_array_equal(mask[..., 0], union_mask(boxes * [0.5, 2, 0.5, 2], 20, 10))


def test_mask_files_and_boxes_stand_side_by_side(manifest, tmp_path):
    region = np.zeros((30, 60), np.uint8)
    region[6:12, 9:30] = 255
    Image.fromarray(region).save(tmp_path / "mask.png")
    paths = tuple(str(tmp_path / "mask.png") if i == 2 else "" for i in range(11))
    mixed = Manifest(manifest.image_paths, manifest.labels, manifest.class_names, manifest.boxes, paths)
    _, masks, _ = _rows(evaluation_dataset(mixed, _SIZE, 4, masks=True))
    np.testing.assert_array_equal(masks[2, ..., 0], union_mask([[3, 2, 10, 4]], *_SIZE))
    np.testing.assert_array_equal(masks[4, ..., 0], union_mask(manifest.boxes[4], *_SIZE))
    assert masks.sum((1, 2, 3)).astype(bool).tolist() == mixed.has_boxes.tolist()


def test_one_iteration_is_one_epoch_in_an_order_of_its_own(manifest):
    dataset = training_dataset(manifest, _SIZE, 4, seed=1)
    assert dataset.cardinality() == steps_per_epoch(manifest, 4) == 3
    orders = []
    for _ in range(3):
        images, masks, labels = _rows(dataset)
        order = [_index_of(image, manifest) for image in images]
        assert sorted(order) == list(range(11))
        np.testing.assert_array_equal(labels, manifest.labels[order])
        assert (masks.sum((1, 2, 3)) > 0).tolist() == manifest.has_boxes[order].tolist()
        orders.append(order)
    assert len({tuple(order) for order in orders}) == 3


def test_the_seed_decides_everything(manifest, plain):
    def epochs(seed, count):
        dataset = training_dataset(manifest, _SIZE, 4, seed=seed, augmentation=Augmentation(), cache=plain[0])
        return np.concatenate([_rows(dataset)[0] for _ in range(count)])

    first = epochs(1, 2)
    np.testing.assert_array_equal(first, epochs(1, 2))
    assert (first[:11] != epochs(2, 1)).any()


def test_a_resumed_stream_goes_on_as_if_it_had_not_been_interrupted(manifest, plain):
    def stream(first_epoch):
        options = {"augmentation": Augmentation(), "cache": plain[0], "first_epoch": first_epoch}
        dataset = training_dataset(manifest, _SIZE, 4, seed=1, **options)
        assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
        return dataset

    uninterrupted = stream(0)
    sizes = [len(labels) for _, labels in uninterrupted.take(9)]
    assert sizes == [4, 4, 3] * 3
    whole, resumed = _rows(uninterrupted, 9), _rows(stream(2), 3)
    for expected, found in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(expected[22:], found)
    assert (whole[0][:11] != whole[0][11:22]).any()


def test_augmentation_depends_on_the_image_and_the_epoch_not_on_the_batch(manifest, plain):
    shared = {"seed": 1, "augmentation": Augmentation(), "first_epoch": 0, "shuffle": False, "cache": plain[0]}

    def first_epoch(batch_size, **options):
        return _rows(training_dataset(manifest, _SIZE, batch_size, **{**shared, **options}), -(-11 // batch_size))

    in_one_batch = first_epoch(11)
    for large, small in zip(in_one_batch, first_epoch(3), strict=True):
        np.testing.assert_allclose(large, small, atol=1e-3)
    later = first_epoch(11, first_epoch=1)
    assert np.abs(later[0] - in_one_batch[0]).max((1, 2, 3)).min() > 1
    without_masks = training_dataset(manifest, _SIZE, 11, **shared, masks=False)
    np.testing.assert_array_equal(next(iter(without_masks))[0], in_one_batch[0])


def test_a_cache_changes_no_number(manifest, tmp_path):
    size = (7, 9)  # not the images' own: what resizing rounds is kept, too
    plain = _rows(evaluation_dataset(manifest, size, 4, masks=True))
    for cache in ("memory", tmp_path / "cache", tmp_path / "cache"):  # a folder is written, then read
        cached = _rows(evaluation_dataset(manifest, size, 4, masks=True, cache=cache))
        for one, other in zip(plain, cached, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_folder_cache_is_used_again_and_rebuilt_when_an_image_changes(manifest, tmp_path):
    cache = tmp_path / "cache"
    evaluation_dataset(manifest, _SIZE, 4, cache=cache)
    (folder,) = cache.iterdir()
    written = (folder / "images.npy").stat().st_mtime_ns
    evaluation_dataset(manifest.without_boxes(), _SIZE, 4, cache=cache)
    assert [path.name for path in cache.iterdir()] == [folder.name]
    assert (folder / "images.npy").stat().st_mtime_ns == written
    Image.new("RGB", (20, 10)).save(manifest.image_paths[1])
    images, _ = next(iter(evaluation_dataset(manifest, _SIZE, 11, cache=cache)))
    assert images[1].numpy().max() == 0
    assert len(list(cache.iterdir())) == 2


def test_preprocessing_comes_last_and_sees_plain_rgb_batches(manifest):
    seen = []

    def preprocess(images):
        seen.append((images.dtype, images.shape.as_list()))
        return images / 255.0 - 1.0

    images, _ = next(iter(evaluation_dataset(manifest, _SIZE, 11, preprocess=preprocess)))
    np.testing.assert_allclose(images[3], _pixels(manifest.image_paths[3]) / 255 - 1, atol=1e-6)
    assert seen == [(tf.float32, [None, 10, 20, 3])]
    x, _ = next(iter(training_dataset(manifest, _SIZE, 4, seed=0, preprocess=preprocess, augmentation=Augmentation())))
    assert -1 <= x["image"].numpy().min() <= x["image"].numpy().max() <= 0


def test_shapes_and_types_are_those_of_the_contract(manifest):
    (x, y) = training_dataset(manifest, _SIZE, 4, seed=0, augmentation=Augmentation()).element_spec
    assert x["image"] == tf.TensorSpec((None, 10, 20, 3), tf.float32)
    assert x["mask"] == tf.TensorSpec((None, 10, 20, 1), tf.float32)
    assert y == tf.TensorSpec((None,), tf.int32)
    x, y = training_dataset(manifest, _SIZE, 4, seed=0, masks=False, one_hot=True).element_spec
    assert x == tf.TensorSpec((None, 10, 20, 3), tf.float32)
    assert y == tf.TensorSpec((None, 2), tf.float32)


def test_a_sampler_replaces_the_order(manifest):
    def rare_only(num_images, seed, epoch):
        return tf.constant([1, 4, 7, 1, 4], tf.int64)

    dataset = training_dataset(manifest, _SIZE, 2, seed=0, order=rare_only)
    assert dataset.cardinality() == 3
    assert _rows(dataset)[2].tolist() == [1] * 5


def test_order_and_seeds_of_a_training_dataset_are_those_of_epoch_indices(manifest, plain):
    loader, images = plain
    order = get_sampling("class_balanced", manifest, batch_size=4, num_epochs=1)
    options = {"seed": 6, "first_epoch": 2, "order": order}
    dataset = training_dataset(manifest, _SIZE, 4, augmentation=_FLIPS, cache=loader, **options)
    for (index, seeds), (x, labels) in zip(epoch_indices(11, 4, **options).take(5), dataset.take(5), strict=True):
        signs = flip_signs(seeds, _FLIPS).numpy().astype(int)
        for i, (right, down), image, mask in zip(index.numpy(), signs, x["image"], x["mask"], strict=True):
            np.testing.assert_array_equal(image, images[i][::down, ::right])
            np.testing.assert_array_equal(mask[..., 0], union_mask(manifest.boxes[i], *_SIZE)[::down, ::right])
        np.testing.assert_array_equal(labels, manifest.labels[index])


def test_a_plain_shuffle_is_augmented_under_the_index_of_the_image(manifest, plain):
    loader, images = plain
    dataset = training_dataset(manifest, _SIZE, 4, seed=1, augmentation=Augmentation(), cache=loader, first_epoch=3)
    order = [9, 6, 1, 7, 4, 5, 3, 8, 10, 2, 0]
    seeds = np.stack([np.full(11, 5591785196630141735), order], axis=1)  # of (seed 1, epoch 3)
    expected, _ = augment_batch(tf.constant(images[order]), None, tf.constant(seeds), Augmentation())
    np.testing.assert_allclose(_rows(dataset, 3)[0], expected, atol=1e-3)


def test_an_image_drawn_five_times_is_augmented_in_five_ways(manifest, plain):
    options = {"seed": 0, "first_epoch": 0, "order": _always(4, 0, 4, 4, 1, 4, 4), "cache": plain[0]}
    dataset = training_dataset(manifest, _SIZE, 3, augmentation=Augmentation(), **options)
    images = _rows(dataset, 3)[0][[0, 2, 3, 5, 6]]
    differences = [np.abs(images[i] - images[j]).max() for i in range(5) for j in range(i)]
    assert min(differences) > 1
    assert not np.array_equal(_rows(dataset, 6)[0][7:][0], images[0])


def test_an_image_drawn_five_times_moves_with_its_mask(manifest):
    mask = tf.constant(union_mask(manifest.boxes[4], *_SIZE)[..., None], tf.float32)

    def loader(index):
        return tf.repeat(mask, 3, axis=-1) * 255, tf.constant([10, 20])

    turns = Augmentation(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0)
    options = {"seed": 0, "first_epoch": 0, "order": _always(4, 4, 4, 4, 4), "cache": loader}
    dataset = training_dataset(manifest, _SIZE, 3, augmentation=turns, **options)
    images, masks, _ = _rows(dataset, 2)
    clear = np.abs(images[..., :1] - 127.5) > 2  # the masks move as bytes
    np.testing.assert_array_equal((images[..., :1] > 127.5)[clear], (masks > 0)[clear])
    assert len({mask.tobytes() for mask in masks}) == 5


@pytest.mark.parametrize(
    ("setting", "counts", "num_batches"),
    [("class_balanced", [6, 5], 3), ("oversample", [8, 8], 4), ("undersample", [3, 3], 2)],
)
def test_batches_hold_as_many_images_of_each_class_as_sampled(manifest, plain, setting, counts, num_batches):
    order = get_sampling(setting, manifest, batch_size=4, num_epochs=1)
    dataset = training_dataset(manifest, _SIZE, 4, seed=0, masks=False, cache=plain[0], order=order)
    assert dataset.cardinality() == steps_per_epoch(manifest, 4, order) == num_batches
    labels = [batch_labels.numpy() for _, batch_labels in dataset]
    np.testing.assert_array_equal(np.bincount(np.concatenate(labels)), counts)


def test_class_aware_batches_reach_the_model_whole_in_every_epoch(manifest, plain):
    order = get_sampling({"name": "class_aware", "images_per_class": 3}, manifest, batch_size=6, num_epochs=1)
    dataset = training_dataset(manifest, _SIZE, 6, seed=0, masks=False, cache=plain[0], order=order, first_epoch=0)
    assert steps_per_epoch(manifest, 6, order) == 2
    for batch, labels in dataset.take(6):
        assert np.bincount(labels).tolist() == [3, 3]
        assert len({image.tobytes() for image in batch.numpy()}) == 6


def test_progressive_balance_follows_the_epochs_of_a_resumed_stream(manifest, plain):
    order = get_sampling("progressively_balanced", manifest, batch_size=11, num_epochs=2)

    def rare_counts(first_epoch, count):
        options = {"seed": 0, "masks": False, "cache": plain[0], "order": order, "first_epoch": first_epoch}
        return [int(labels.numpy().sum()) for _, labels in training_dataset(manifest, _SIZE, 11, **options).take(count)]

    assert rare_counts(0, 3) == [3, 4, 5]
    assert rare_counts(1, 2) == [4, 5]


def test_only_images_of_the_named_classes_are_augmented(manifest, plain):
    loader, images = plain
    options = {"seed": 1, "cache": loader, "shuffle": False, "first_epoch": 0}
    dataset = training_dataset(manifest, _SIZE, 11, augmentation=Augmentation(classes=["rare"]), **options)
    whole = training_dataset(manifest, _SIZE, 11, augmentation=Augmentation(), **options)
    for before, moved, reference, label in zip(images, _rows(dataset, 1)[0], *_rows(whole, 1)[::2], strict=True):
        if manifest.class_names[label] == "rare":
            np.testing.assert_allclose(moved, reference, atol=1e-3)
            assert np.abs(moved - before).max() > 1
        else:
            np.testing.assert_array_equal(moved, before)


def test_loaded_masks_are_those_of_the_datasets(manifest):
    masks = load_masks(manifest, _SIZE, np.full((11, 2), [10, 20]))
    np.testing.assert_array_equal(masks, _rows(evaluation_dataset(manifest, _SIZE, 4, masks=True))[1])
    assert load_masks(manifest.subset([]), _SIZE, np.zeros((0, 2), int)).shape == (0, 10, 20, 1)


@pytest.mark.parametrize("batch_size", [1, 11, 100])
def test_batch_sizes_at_the_edges(manifest, plain, batch_size):
    options = {"augmentation": Augmentation(), "cache": plain[0]}
    assert len(_rows(training_dataset(manifest, _SIZE, batch_size, seed=0, **options))[2]) == 11


def test_an_image_that_becomes_corrupt_is_named(manifest):
    with open(manifest.image_paths[6], "wb") as file:
        file.write(b"no image")
    with pytest.raises(tf.errors.InvalidArgumentError, match="image is corrupt .*image_6.jpg"):
        list(training_dataset(manifest, _SIZE, 4, seed=0))


def test_a_class_without_images_and_a_single_class_are_refused(manifest):
    with pytest.raises(InputError, match="No training image of class rare in .*manifest.csv"):
        training_dataset(manifest.subset([0, 2, 3]), _SIZE, 4, seed=0)
    single = Manifest(manifest.image_paths, np.zeros(11), ("only",))
    with pytest.raises(InputError, match="at least two classes. Received only in "):
        training_dataset(single, _SIZE, 4, seed=0)


def test_a_sampler_or_an_augmentation_that_does_not_fit_is_refused_before_images_are_read(manifest, tmp_path):
    cache = tmp_path / "cache"
    order = get_sampling("progressively_balanced", manifest, batch_size=4, num_epochs=3)
    with pytest.raises(InputError, match="depends on the number of the epoch"):
        training_dataset(manifest, _SIZE, 4, seed=0, order=order, cache=cache)
    with pytest.raises(InputError, match="classes names DF, which .* Classes: common, rare"):
        training_dataset(manifest, _SIZE, 4, seed=0, augmentation=Augmentation(classes=("DF",)), cache=cache)
    assert not cache.exists()


def test_bad_arguments_are_refused(manifest, tmp_path):
    with pytest.raises(InputError, match="has no images left"):
        evaluation_dataset(manifest.subset([]), _SIZE, 4)
    with pytest.raises(InputError, match="image_size must be"):
        evaluation_dataset(manifest, (0, 4), 4)
    with pytest.raises(InputError, match="image_size must be"):
        evaluation_dataset(manifest, 128, 4)
    with pytest.raises(InputError, match="batch_size must be at least 1. Received 0"):
        training_dataset(manifest, _SIZE, 0, seed=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match='"memory" or a folder'):
        evaluation_dataset(manifest, _SIZE, 4, cache=tmp_path / "file")


def test_datasets_carry_the_class_names(manifest):
    assert training_dataset(manifest, _SIZE, 4, seed=0).class_names == ("common", "rare")
    assert evaluation_dataset(manifest, _SIZE, 4).class_names == ("common", "rare")


def test_padded_images_keep_their_proportions_with_masks_and_boxes(manifest, tmp_path):
    region = np.zeros((20, 40), np.uint8)
    region[4:12, 10:30] = 255  # the box below at twice the size
    Image.fromarray(region).save(tmp_path / "mask.png")
    boxes = (np.float32([[5, 2, 15, 6]]), np.zeros((0, 4), np.float32))
    pair = Manifest(manifest.image_paths[:2], [0, 1], ("a", "b"), boxes, ("", str(tmp_path / "mask.png")), resize="pad")
    images, masks, _ = _rows(evaluation_dataset(pair, (16, 16), 2, masks=True))
    assert images[:, 4:12].any() and not images[:, :4].any() and not images[:, 12:].any()
    expected = np.zeros((16, 16), bool)
    expected[4:12] = union_mask(boxes[0] * 0.8, 8, 16)
    for mask in masks:
        np.testing.assert_array_equal(mask[..., 0] > 0, expected)
    cached, _, _ = _rows(evaluation_dataset(pair, (16, 16), 2, masks=True, cache=tmp_path / "cache"))
    np.testing.assert_array_equal(cached, images)
    stretched = evaluation_dataset(dataclasses.replace(pair, resize="stretch"), (16, 16), 2, cache=tmp_path / "cache")
    assert next(iter(stretched))[0][:, 0].numpy().any()  # not what is in the cache
