import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from care_tf.box_geometry import union_mask
from care_tf.errors import InputError
from care_tf.images._exif import jpeg_orientation
from care_tf.images.decoding import (
    corrupt_files_refused,
    decode_image,
    decode_image_named,
    decode_mask_named,
)

_NOISE = np.random.default_rng(0).integers(0, 256, (12, 18, 3), np.uint8)


def _encode(image, image_format, **options):
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, image_format, **options)
    return file.getvalue()


def _decode(contents, size):
    image, original_size = decode_image(tf.constant(contents), size)
    return image.numpy(), original_size.numpy().tolist()


def _decode_mask(contents, size):
    return decode_mask_named(tf.constant(contents), tf.constant("mask.png"), size)


def _tiff(order, orientation, offset=8):
    """An EXIF directory with the orientation as the second of three entries, `offset` bytes into the structure."""
    entries = [(0x010F, 2, 3, b"me\0\0"), (0x0112, 3, 1, struct.pack(order + "HH", orientation, 0))]
    entries.append((0x011A, 4, 1, struct.pack(order + "I", 72)))
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, offset) + bytes(offset - 8)
    body = b"".join(struct.pack(order + "HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\0\0" + head + struct.pack(order + "H", len(entries)) + body + bytes(4)


def _with_exif(jpeg, exif, after_jfif=True):
    """Puts an APP1 segment at the start of a JPEG, or after its APP0 segment."""
    place = 2
    if after_jfif:
        assert jpeg[2:4] == b"\xff\xe0"
        place += 2 + int.from_bytes(jpeg[4:6], "big")
    return jpeg[:place] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[place:]


def _resize_slowly(image, size):
    """Bilinear with antialiasing along one axis after the other: a triangle as wide as the step, normalized."""
    for axis, new in enumerate(size):
        old = image.shape[axis]
        step = old / new
        weights = np.zeros((new, old))
        for i in range(new):
            for j in range(old):
                weights[i, j] = max(0, 1 - abs((j + 0.5) - (i + 0.5) * step) / max(step, 1))
        image = np.moveaxis(np.tensordot(weights / weights.sum(1, keepdims=True), image, (1, axis)), 0, axis)
    return image


@pytest.mark.parametrize("size", [(6, 9), (5, 7), (20, 31)])
def test_resizing_is_antialiased_bilinear_rounded_to_whole_numbers(size):
    image, original_size = _decode(_encode(_NOISE, "PNG"), size)
    assert image.shape == (*size, 3)
    assert image.dtype == np.float32
    assert original_size == [12, 18]
    np.testing.assert_array_equal(image, np.round(image))
    assert np.abs(image - _resize_slowly(_NOISE.astype(np.float64), size)).max() < 0.51


def test_an_image_of_the_right_size_comes_out_exactly():
    np.testing.assert_array_equal(_decode(_encode(_NOISE, "PNG"), (12, 18))[0], _NOISE)


def test_jpeg_decodes_as_pillow_does():
    jpeg = _encode(_NOISE, "JPEG", quality=95)
    expected = np.asarray(Image.open(io.BytesIO(jpeg)), np.float32)
    np.testing.assert_array_equal(_decode(jpeg, (12, 18))[0], expected)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1"])
def test_every_kind_of_png_becomes_rgb(mode):
    image = Image.fromarray(_NOISE).convert(mode)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(_decode(_encode(image, "PNG"), (12, 18))[0], expected)


def test_sixteen_bit_png_keeps_its_high_byte_and_gray_jpeg_becomes_rgb():
    gray = (np.arange(216, dtype=np.uint16) * 300).reshape(12, 18)
    image, _ = _decode(_encode(gray, "PNG"), (12, 18))
    assert np.abs(image - (gray[..., None] / 257.0)).max() <= 1
    image, _ = _decode(_encode(_NOISE[..., 0], "JPEG"), (12, 18))
    np.testing.assert_array_equal(image[..., 0], image[..., 2])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_orientation_is_undone_as_pillow_does(orientation, order):
    jpeg = _with_exif(_encode(_NOISE, "JPEG"), _tiff(order, orientation, offset=20), after_jfif=orientation % 2 == 0)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(jpeg))), np.float32)
    image, original_size = _decode(jpeg, expected.shape[:2])
    assert original_size == list(expected.shape[:2])
    np.testing.assert_array_equal(image, expected)


def test_orientation_written_by_pillow_is_found():
    exif = Image.Exif()
    exif[0x0112] = 8
    assert jpeg_orientation(tf.constant(_encode(_NOISE, "JPEG", exif=exif))) == 8


_orientation_in_graph = tf.function(jpeg_orientation, input_signature=[tf.TensorSpec((), tf.string)])


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 90), st.sampled_from("<>"))
def test_malformed_exif_never_fails_and_means_upright(noise, cut, order):
    exif = _tiff(order, 9)[:cut] + noise
    contents = _with_exif(_encode(_NOISE, "JPEG"), exif)
    assert 1 <= int(_orientation_in_graph(contents)) <= 8
    assert 1 <= int(_orientation_in_graph(contents[: 30 + cut])) <= 8
    assert int(_orientation_in_graph(noise)) == 1


def test_the_word_exif_elsewhere_is_no_orientation():
    # A comment segment in front of the EXIF segment quotes one; only the real one counts.
    jpeg = _with_exif(_encode(_NOISE, "JPEG"), _tiff("<", 3), after_jfif=False)
    quoted = _tiff(">", 6)
    comment = b"\xff\xfe" + struct.pack(">H", len(quoted) + 2) + quoted
    assert _orientation_in_graph(jpeg[:2] + comment + jpeg[2:]) == 3
    assert _orientation_in_graph(b"\x89PNG" + _tiff("<", 3)) == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 18), st.data())
def test_a_mask_of_a_box_sets_the_pixels_that_the_box_sets(height, width, data):
    x0, y0 = data.draw(st.integers(0, 17)), data.draw(st.integers(0, 11))
    x1, y1 = data.draw(st.integers(x0 + 1, 18)), data.draw(st.integers(y0 + 1, 12))
    region = np.zeros((12, 18), np.uint8)
    region[y0:y1, x0:x1] = 255
    mask = _decode_mask(_encode(region, "PNG"), (height, width)).numpy()
    assert mask.shape == (height, width, 1)
    assert mask.dtype == np.float32
    scaled = [x0 * width / 18, y0 * height / 12, x1 * width / 18, y1 * height / 12]
    near_edge = any(abs(edge - 0.5 - round(edge - 0.5)) < 1e-4 for edge in scaled)
    if not near_edge:  # at an exact tie, float rounding may decide either way
        np.testing.assert_array_equal(mask[..., 0], union_mask([scaled], height, width))


@pytest.mark.parametrize("value", [1, 255])
def test_any_nonzero_value_counts_at_any_bit_depth(value):
    region = np.zeros((6, 6))
    region[2:4, 1:5] = value
    for image in (region.astype(np.uint8), region.astype(np.uint16)):
        np.testing.assert_array_equal(_decode_mask(_encode(image, "PNG"), (6, 6))[..., 0], region > 0)


def test_a_palette_mask_means_its_colors_not_its_numbers():
    inverted = Image.new("P", (2, 2))
    inverted.putdata([0, 1, 1, 1])
    inverted.putpalette([255, 255, 255, 0, 0, 0])
    mask = _decode_mask(_encode(inverted, "PNG"), (2, 2))[..., 0].numpy()
    np.testing.assert_array_equal(mask, [[1, 0], [0, 0]])


def test_a_tiny_region_keeps_one_pixel_and_an_empty_mask_stays_empty():
    region = np.zeros((100, 100), np.uint8)
    assert _decode_mask(_encode(region, "PNG"), (4, 4)).numpy().sum() == 0
    region[30, 95] = 1
    mask = _decode_mask(_encode(region, "PNG"), (4, 4)).numpy()
    assert mask.sum() == 1
    assert mask[1, 3, 0] == 1


def test_it_can_be_saved_and_served(tmp_path):
    module = tf.Module()
    specification = [tf.TensorSpec((), tf.string)]
    module.decode = tf.function(lambda contents: decode_image(contents, (6, 9)), input_signature=specification)
    tf.saved_model.save(module, str(tmp_path))
    contents = _with_exif(_encode(_NOISE, "JPEG"), _tiff(">", 6))
    served, _ = tf.saved_model.load(str(tmp_path)).decode(contents)
    np.testing.assert_array_equal(served, _decode(contents, (6, 9))[0])


def _corrupt_files():
    png, jpeg = bytearray(_encode(_NOISE, "PNG")), _encode(_NOISE, "JPEG")
    png[60] ^= 0xFF
    return {"flipped.png": bytes(png), "cut.jpg": jpeg[:-40], "text.jpg": b"no image at all", "empty.png": b""}


@pytest.mark.parametrize("name", _corrupt_files())
def test_a_corrupt_file_is_named(name):
    contents = tf.data.Dataset.from_tensors(_corrupt_files()[name])
    images = contents.map(lambda file: decode_image_named(file, tf.constant(f"folder/{name}"), (6, 9)))
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"image is corrupt .*folder/{name}"):
        list(images)
    masks = contents.map(lambda file: decode_mask_named(file, tf.constant(f"folder/{name}"), (6, 9)))
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"mask is corrupt .*folder/{name}"):
        list(masks)


def test_naming_the_file_changes_no_number():
    image, size = decode_image_named(tf.constant(_encode(_NOISE, "PNG")), tf.constant("a.png"), (6, 9))
    np.testing.assert_array_equal(image, _decode(_encode(_NOISE, "PNG"), (6, 9))[0])
    assert size.numpy().tolist() == [12, 18]


def test_a_file_found_corrupt_inside_a_graph_becomes_one_clear_error(tmp_path):
    path = str(tmp_path / "x.jpg")
    broken = tf.data.Dataset.from_tensors(b"no image").map(lambda c: decode_image_named(c, tf.constant(path), (8, 8)))
    message = r"x.jpg: this image is corrupt.*leave it out"
    with pytest.raises(InputError, match=message), corrupt_files_refused():
        list(broken)
    with pytest.raises(tf.errors.InvalidArgumentError), corrupt_files_refused():
        tf.debugging.Assert(False, ["something else"])
