"""Where a padded image lies, that masks and boxes lie there too, and that a map finds its way back."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from care_tf.box_geometry import union_mask
from care_tf.errors import InputError
from care_tf.images.decoding import decode_mask_named
from care_tf.images.resize_choice import check_resize
from care_tf.images.resizing import antialiased, map_of_image, placement, resize_images

FRAME = (24, 32)
SIZES = [(48, 64), (100, 30), (30, 100), (7, 300), (300, 7), (23, 32), (1, 1), (24, 32)]


def slow_placement(height, width):
    """From the rule's words, in fractions."""
    scale = min(FRAME[0] / height, FRAME[1] / width)
    inner = [max(int(np.floor(side * scale + 0.5)), 1) for side in (height, width)]
    return [(FRAME[0] - inner[0]) // 2, (FRAME[1] - inner[1]) // 2, *inner]


def png(region):
    buffer = io.BytesIO()
    Image.fromarray(region.astype(np.uint8) * 255).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("size", SIZES)
def test_the_place_of_a_padded_image(size):
    place = [int(value) for value in placement(tf.constant(size), FRAME, "pad")]
    assert place == slow_placement(*size)
    assert tuple(placement(tf.constant(size), FRAME, "stretch")) == (0, 0, *FRAME)


@pytest.mark.parametrize("size", SIZES)
def test_a_padded_image_is_the_resized_one_in_the_middle_of_black(size):
    image = np.random.default_rng(0).integers(1, 256, (*size, 3)).astype(np.float32)
    top, left, height, width = slow_placement(*size)
    expected = np.zeros((*FRAME, 3), np.float32)
    expected[top : top + height, left : left + width] = resize_images(image, (height, width))
    found = tf.function(lambda given: resize_images(given, FRAME, "pad"), autograph=False)(image)
    assert found.shape == (*FRAME, 3)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(resize_images(image[np.newaxis], FRAME, "pad")[0], expected)


@pytest.mark.parametrize("size", [*SIZES, (24, 100), (100, 32), (8, 8), (450, 600)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_rows_in_place_of_channels_change_no_bit(size, dtype):
    images = np.random.default_rng(0).uniform(0, 256, (2, *size, 3)).astype(dtype)
    expected = tf.image.resize(images, FRAME, method="bilinear", antialias=True)
    np.testing.assert_array_equal(antialiased(tf.constant(images), FRAME), expected)
    np.testing.assert_array_equal(antialiased(tf.constant(images[1]), FRAME), expected[1])


def test_an_image_of_unknown_size_gets_a_known_one():
    specification = tf.TensorSpec((None, None, 3), tf.uint8)
    graph = tf.function(lambda image: antialiased(image, FRAME)).get_concrete_function(specification)
    assert graph.structured_outputs.shape == (*FRAME, 3)
    batch = antialiased(tf.zeros((0, 40, 50, 3)), FRAME)
    assert batch.shape == (0, *FRAME, 3)


@pytest.mark.parametrize("size", [(48, 64), (100, 30), (30, 100)])
def test_a_mask_file_lies_where_its_image_does(size):
    region = np.zeros(size, bool)
    region[size[0] // 3 : size[0] // 2, size[1] // 4 :] = True
    top, left, height, width = slow_placement(*size)
    expected = np.zeros(FRAME, bool)
    box = np.array([size[1] // 4, size[0] // 3, size[1], size[0] // 2])
    scaled = box * np.tile([width / size[1], height / size[0]], 2)
    expected[top : top + height, left : left + width] = union_mask(scaled, height, width)
    place = placement(tf.constant(size), FRAME, "pad")
    found = decode_mask_named(tf.constant(png(region)), tf.constant("m.png"), FRAME, place)
    np.testing.assert_array_equal(found[..., 0] > 0, expected)
    half = decode_mask_named(tf.constant(png(region[::2, ::2])), tf.constant("m.png"), FRAME, place)
    assert np.mean((half[..., 0] > 0) != expected) < 0.05  # a mask of another size lies there, too


def test_a_map_of_the_frame_becomes_one_of_the_image():
    size = (40, 10)
    top, left, height, width = slow_placement(*size)
    frame = np.zeros((1, *FRAME), np.float32)
    frame[0, top : top + height, left : left + width // 2] = 1  # the left half of the image
    frame[0, :, : left - 2] = 9  # beside the image
    found = map_of_image(tf.constant(frame), size, FRAME, "pad", size).numpy()[0]
    assert found.shape == size and found[:, :3].min() == 1 and found[:, -3:].max() == 0
    whole = np.random.default_rng(1).random((2, 6, 8), np.float32)
    expected = tf.image.resize(whole[..., None], size)[..., 0]
    np.testing.assert_array_equal(map_of_image(tf.constant(whole), size, FRAME, "stretch", size), expected)


def test_other_words_are_refused():
    with pytest.raises(InputError, match="resize must be one of stretch, pad. Received 'crop'"):
        check_resize("crop")
