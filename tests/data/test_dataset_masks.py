"""Masks for data sets of one's own: those that the package's own data sets have, and every misalignment refused."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from marks import one_generation
from PIL import Image

from care_tf.box_geometry import union_mask
from care_tf.data import Manifest, evaluation_dataset, with_masks
from care_tf.errors import InputError
from care_tf.keras_generation import KERAS_3

SIZE = (10, 12)
BOXES = [[[1, 2, 5, 6]], [], [[0, 0, 3, 3], [6, 4, 12, 9]], np.zeros((0, 4)), [[2.5, 1, 4, 9]]]


def in_memory(count=5, batch_size=None, **columns):
    images = np.random.default_rng(0).random((count, *SIZE, 3)).astype(np.float32)
    x = {"image": images, **columns} if columns else images
    dataset = tf.data.Dataset.from_tensor_slices((x, np.arange(count)))
    return dataset if batch_size is None else dataset.batch(batch_size)


def rows_of(dataset):
    """All images and masks of a data set of elements or batches."""
    pairs = [(x["image"].numpy(), x["mask"].numpy()) for x, *_ in dataset]
    join = np.concatenate if pairs[0][0].ndim == 4 else np.stack
    return [join(column) for column in zip(*pairs, strict=True)]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Six 40 x 20 px images in folders of two classes, with boxes and one mask, as a manifest."""
    root, random = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    paths = [root / "images" / name / f"{number}.png" for name in "ab" for number in range(3)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        blocks = random.integers(0, 256, (5, 10, 3), np.uint8)
        Image.fromarray(np.kron(blocks, np.ones((4, 4, 1), np.uint8))).save(path)
    region = np.zeros((20, 40), np.uint8)
    region[5:15, 10:30] = 255
    Image.fromarray(region).save(root / "mask.png")
    boxes = [np.float32([[4, 4, 20, 12]]), np.float32([[0, 0, 8, 20], [30, 2, 40, 9]]), *[np.zeros((0, 4))] * 4]
    masks = ("", "", "", str(root / "mask.png"), "", "")
    names = tuple(map(str, paths))
    return Manifest(names, [0, 0, 0, 1, 1, 1], ("a", "b"), tuple(boxes), masks, source=str(root / "images"))


def keras_dataset(photographs, **arguments):
    if arguments.pop("pad_to_aspect_ratio", False):
        if not KERAS_3:
            pytest.skip("Keras 2 does not pad")
        arguments["pad_to_aspect_ratio"] = True
    arguments = {"image_size": (16, 16), "batch_size": 4, "shuffle": False} | arguments
    return keras.utils.image_dataset_from_directory(photographs.source, **arguments)


@pytest.mark.parametrize("batch_size", [None, *one_generation(2, 5)])
def test_every_image_gets_the_mask_of_its_boxes_in_every_pass(batch_size):
    dataset = with_masks(in_memory(batch_size=batch_size), BOXES)
    given = [image for image, _ in in_memory().as_numpy_iterator()]
    for _ in range(2):
        images, masks = rows_of(dataset)
        for mask, boxes in zip(masks, BOXES, strict=True):
            np.testing.assert_array_equal(mask[..., 0] > 0, union_mask(boxes, *SIZE))
        np.testing.assert_array_equal(images, given)


def test_other_keys_labels_and_weights_stay():
    dataset = in_memory(age=np.arange(5.0)).map(lambda x, y: (x, y, 2.0))
    x, y, weight = next(iter(with_masks(dataset, BOXES)))
    assert set(x) == {"image", "age", "mask"} and (int(y), float(weight)) == (0, 2.0)


@pytest.mark.parametrize("resize", ["stretch", "pad"])
@pytest.mark.parametrize("batch_size", [None, 4])
def test_a_keras_data_set_gets_the_masks_of_our_own(photographs, resize, batch_size):
    given = keras_dataset(photographs, batch_size=batch_size, pad_to_aspect_ratio=resize == "pad")
    found = with_masks(given, photographs, resize=resize)
    own = dataclasses.replace(photographs, resize=resize)
    ((expected, _),) = evaluation_dataset(own, (16, 16), 6, masks=True)
    np.testing.assert_array_equal(rows_of(found)[1], expected["mask"])
    assert expected["mask"].numpy().any(axis=(1, 2, 3)).tolist() == [True, True, False, True, False, False]
    assert found.class_names == ["a", "b"]


def test_a_manifest_knows_files_in_any_order(photographs):
    order = [4, 1, 3]
    paths = [photographs.image_paths[row] for row in order]
    load = lambda path, label: (tf.image.resize(tf.io.decode_png(tf.io.read_file(path)), (16, 16)), label)  # noqa: E731
    dataset = tf.data.Dataset.from_tensor_slices((paths, [1, 0, 1])).map(load)
    dataset = dataset.map(lambda image, label: (tf.ensure_shape(image, (16, 16, 3)), label))
    found = rows_of(with_masks(dataset, photographs, paths))[1]
    np.testing.assert_array_equal(found, rows_of(with_masks(keras_dataset(photographs), photographs))[1][order])
    with pytest.raises(InputError, match="without file_paths"):
        with_masks(dataset, photographs)
    with pytest.raises(InputError, match="3 of 3 that are not in .*images, such as .*; it lists .*0.png"):
        with_masks(dataset, photographs.subset([0]), paths)


def test_a_data_set_without_an_order_is_refused(photographs):
    with pytest.raises(InputError, match="shuffled or augmented. Do that after with_masks"):
        with_masks(in_memory().shuffle(5), BOXES)
    with pytest.raises(InputError, match="shuffled or augmented"):
        with_masks(keras_dataset(photographs, shuffle=True, batch_size=2), photographs)
    generator = tf.random.Generator.from_seed(0)
    noisy = in_memory(batch_size=2).map(lambda x, y: (x + generator.uniform(tf.shape(x)), y))
    with pytest.raises(InputError, match="shuffled or augmented"):
        with_masks(noisy, BOXES)


@pytest.mark.parametrize(
    ("arguments", "resize", "looks_like"),
    [
        ({"crop_to_aspect_ratio": True}, "stretch", "crop"),
        ({"pad_to_aspect_ratio": True}, "stretch", "pad"),
        ({}, "pad", "stretch"),
    ],
)
def test_images_that_show_something_else_than_said_are_refused(photographs, arguments, resize, looks_like):
    with pytest.raises(InputError, match=f'says, "{resize}". Received .* look as if by {looks_like}'):
        with_masks(keras_dataset(photographs, **arguments), photographs, resize=resize)


def test_files_turned_by_exif_are_refused_where_keras_reads_them(photographs, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("RGB", (40, 20)).save(tmp_path / name / "1.jpg", exif=exif)
    turned = Manifest(tuple(str(tmp_path / name / "1.jpg") for name in "ab"), [0, 1], ("a", "b"), source=str(tmp_path))
    with pytest.raises(InputError, match="2 problems: .*1.jpg is turned by EXIF, which Keras ignores"):
        with_masks(keras_dataset(turned), turned)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (lambda: in_memory(4), "5\\). Received 4 images"),
        (lambda: in_memory().repeat(), "Received an endless data set"),
        (lambda: in_memory(6, batch_size=1), "Received 6 batches"),
        (lambda: in_memory().map(lambda x, y: x), "needs elements \\(x, y\\)"),
        (lambda: in_memory(batch_size=2).map(lambda x, y: (x[:, : tf.shape(y)[0]], y)), "of known size"),
        (lambda: in_memory(age=np.arange(5.0)).map(lambda x, y: ({"age": x["age"]}, y)), "needs elements"),
    ],
)
def test_other_data_sets_are_refused(dataset, message):
    with pytest.raises(InputError, match=message):
        with_masks(dataset(), BOXES)


def test_bad_boxes_and_a_resize_of_boxes_are_refused():
    with pytest.raises(InputError, match="The data set has 1 problem: image number 1: box .* has no area"):
        with_masks(in_memory(2), [[], [[3, 3, 1, 1]]])
    with pytest.raises(InputError, match="resize is about the files of a manifest"):
        with_masks(in_memory(), BOXES, resize="pad")


def test_more_images_than_boxes_are_noticed_while_reading():
    with pytest.raises(tf.errors.InvalidArgumentError, match="has boxes of 5 images, and the data set has more"):
        list(with_masks(in_memory(7, batch_size=4), BOXES))
