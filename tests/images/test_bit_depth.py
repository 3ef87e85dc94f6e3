import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from care_tf.data import Manifest, evaluation_dataset
from care_tf.data.image_source import images_key
from care_tf.errors import InputError
from care_tf.images.bit_depth import HEAD_BYTES, gray_of_16_bits, is_16_bit_png
from care_tf.images.decoding import corrupt_files_refused, decode_image
from care_tf.images.pixels import read_image


def _numbers(shape=(6, 9), top=4096, first=4095):
    numbers = np.random.default_rng(0).integers(0, top, shape).astype(np.uint16)
    numbers.flat[0] = first
    return numbers


def _decoded(path, *arguments):
    return decode_image(tf.io.read_file(str(path)), (6, 9), *arguments)[0].numpy()


def _manifest(path, **values):
    return Manifest((str(path),), np.array([0]), ("A", "B"), **values)


def _only_image(manifest, size=(6, 9)):
    return next(iter(evaluation_dataset(manifest, size, 1)))[0][0].numpy()


@pytest.mark.parametrize("largest", [1, 255, 1023, 4095, 65535])
def test_gray_is_the_share_of_the_largest_value(largest):
    numbers = np.unique(np.linspace(0, largest, 5000).astype(np.int32))
    expected = np.floor(255.0 * numbers / largest + 0.5)
    np.testing.assert_array_equal(gray_of_16_bits(numbers, largest), expected)
    np.testing.assert_array_equal(gray_of_16_bits(tf.constant(numbers), largest), expected)


@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 3), (6, 9, 4)])
def test_asked_for_12_bits_all_readers_use_the_whole_range(tmp_path, shape):
    """Gray, color and color with alpha, which is dropped; OpenCV, which writes them, has blue first."""
    path, numbers = tmp_path / "a.png", _numbers(shape)
    cv2.imwrite(str(path), numbers)
    color = np.repeat(numbers[..., None], 3, axis=2) if numbers.ndim == 2 else numbers[..., 2::-1]
    expected = np.floor(255 * color.astype(np.float64) / 4095 + 0.5)
    np.testing.assert_array_equal(read_image(path, 4095), expected)
    np.testing.assert_array_equal(_decoded(path, 4095), expected)
    np.testing.assert_array_equal(_only_image(_manifest(path, max_pixel_value=4095)), expected)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_files_of_8_bits_are_read_as_ever(tmp_path, name):
    path = tmp_path / name
    Image.fromarray(_numbers((6, 9, 3), 256, 255).astype(np.uint8)).save(path)
    assert not is_16_bit_png(path.read_bytes()[:HEAD_BYTES])
    np.testing.assert_array_equal(read_image(path, 4095), read_image(path))
    np.testing.assert_array_equal(_decoded(path, 4095), _decoded(path))


def test_not_asked_the_upper_byte_is_taken_with_a_warning(tmp_path):
    path, numbers = tmp_path / "a.png", _numbers(first=4001, top=4000)
    Image.fromarray(numbers).save(path)
    message = r"a.png: the largest value in this 16-bit PNG is 4001 of 65535, .* set max_pixel_value .* perhaps 4095"
    for read in (read_image, lambda file: _only_image(_manifest(file))):
        with pytest.warns(UserWarning, match=message) as caught:
            np.testing.assert_array_equal(read(path)[..., 0], numbers >> 8)
        assert len(caught) == 1


def test_one_warning_for_a_whole_data_set(tmp_path):
    paths = [tmp_path / f"{i}.PNG" for i in range(3)]
    for i, path in enumerate(paths):
        Image.fromarray(_numbers(first=[900, 1000, 60000][i], top=900)).save(path)
    manifest = Manifest(tuple(map(str, paths)), np.zeros(3, int), ("A", "B"))
    with pytest.warns(
        UserWarning, match=r"1.PNG: the largest value .* 1000 .* as are 1 others; .* perhaps 1023"
    ) as caught:
        evaluation_dataset(manifest, (6, 9), 1)
    assert len(caught) == 1


@pytest.mark.parametrize("numbers", [_numbers(top=65536, first=32768), np.zeros((6, 9), np.uint16)])
def test_no_warning_where_all_bits_are_used_or_nothing_can_be_said(tmp_path, numbers):
    Image.fromarray(numbers).save(tmp_path / "a.png")
    expected = numbers >> 8
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[..., 0], expected)
    np.testing.assert_array_equal(_only_image(_manifest(tmp_path / "a.png"))[..., 0], expected)


def test_values_above_the_largest_are_refused_by_name_and_white_when_served(tmp_path):
    path = tmp_path / "a.png"
    for largest in (1, 4095):
        Image.fromarray(_numbers(first=65535)).save(path)
        with pytest.raises(
            InputError, match=f"a.png: max_pixel_value must .* Received {largest}, and a pixel of 65535"
        ):
            read_image(path, largest)
        with (
            pytest.raises(InputError, match=f"a.png: this image has pixels above max_pixel_value, {largest}; set it"),
            corrupt_files_refused(),
        ):
            _only_image(_manifest(path, max_pixel_value=largest))
        assert _decoded(path, largest)[0, 0, 0] == 255


def test_corrupt_files_of_16_bits_keep_their_message(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(_numbers((40, 40))).save(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="image .*a.png cannot be decoded"):
        read_image(path, 4095)
    for largest in (None, 4095):
        with pytest.raises(InputError, match="a.png: this image is corrupt"), corrupt_files_refused():
            _only_image(_manifest(path, max_pixel_value=largest))


def test_the_setting_is_part_of_what_results_and_caches_depend_on(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(_numbers()).save(path)
    manifests = [_manifest(path, max_pixel_value=value) for value in (None, 4095, 65535)]
    assert len({manifest.fingerprint() for manifest in manifests}) == 3
    assert len({images_key(manifest, (6, 9)) for manifest in manifests}) == 3
    assert manifests[1].subset([0]).without_boxes().max_pixel_value == 4095
    for value in (0, 65536, 4095.0, True, "12"):
        with pytest.raises(InputError, match=r"max_pixel_value must be a whole number in \[1, 65535\]"):
            _manifest(path, max_pixel_value=value)
