import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from care_tf.errors import InputError
from care_tf.images.decoding import decode_image, decode_mask_named
from care_tf.images.pixels import read_image, read_mask, read_tiff


def _random(shape, dtype=np.uint8, top=256):
    return np.random.default_rng(0).integers(0, top, shape).astype(dtype)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_what_the_pipeline_decodes(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(_random((12, 8, 3))).save(tmp_path / "a.jpg", exif=exif)
    image = read_image(tmp_path / "a.jpg")
    assert image.dtype == np.uint8 and image.shape == ((12, 8, 3) if orientation < 5 else (8, 12, 3))
    decoded, _ = decode_image(tf.io.read_file(str(tmp_path / "a.jpg")), image.shape[:2])
    np.testing.assert_array_equal(image, decoded)


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "P", "1"])
def test_every_kind_of_png_is_what_the_pipeline_decodes(tmp_path, mode):
    image = Image.fromarray(_random((6, 9, 3))).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6  # a PNG's is not honored
    image.save(tmp_path / "a.png", exif=exif)
    decoded, _ = decode_image(tf.io.read_file(str(tmp_path / "a.png")), (6, 9))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), decoded)


def test_sixteen_bits_become_eight(tmp_path):
    Image.fromarray(_random((6, 9), np.uint16, 65536)).save(tmp_path / "a.png")
    decoded, _ = decode_image(tf.io.read_file(str(tmp_path / "a.png")), (6, 9))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), decoded)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_mask_is_what_the_pipeline_decodes(tmp_path, dtype):
    Image.fromarray(_random((6, 9), dtype, 2)).save(tmp_path / "a.png")
    decoded = decode_mask_named(tf.io.read_file(str(tmp_path / "a.png")), "a.png", (6, 9))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), decoded[..., 0] > 0)


def test_a_palette_mask_is_read_by_its_colors(tmp_path):
    mask = Image.fromarray(np.array([[0, 1], [1, 1]], np.uint8), mode="P")
    mask.putpalette([255, 255, 255, 0, 0, 0])
    mask.save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png").tolist() == [[True, False], [False, False]]


def test_bad_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="image .*a.png does not exist"):
        read_image(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match="mask .*b.png cannot be decoded"):
        read_mask(tmp_path / "b.png")
    Image.fromarray(_random((60, 90, 3))).save(tmp_path / "c.png")
    whole = (tmp_path / "c.png").read_bytes()
    (tmp_path / "c.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="image .*c.png cannot be decoded"):
        read_image(tmp_path / "c.png")


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "1", "I;16"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_tiff_is_read_as_a_png_of_the_same_pixels(tmp_path, mode, compression):
    wide = Image.fromarray(_random((6, 9), np.uint16, 65536))
    image = wide if mode == "I;16" else Image.fromarray(_random((6, 9, 3))).convert(mode)
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif"), read_image(tmp_path / "a.png"))


def test_a_tiff_of_12_bits_is_read_by_its_range(tmp_path):
    Image.fromarray(_random((6, 9), np.uint16, 4096)).save(tmp_path / "a.tif")
    Image.fromarray(_random((6, 9), np.uint16, 4096)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif", 4095), read_image(tmp_path / "a.png", 4095))
    with pytest.raises(InputError, match="a.tif: max_pixel_value must be the largest .* Received 1000"):
        read_tiff(tmp_path / "a.tif", 1000)


def test_a_tiffs_orientation_is_honored(tmp_path):
    pixels = _random((6, 9, 3))
    Image.fromarray(pixels).save(tmp_path / "a.tif", tiffinfo={0x0112: 6})
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif"), np.rot90(pixels, -1))


def test_a_tiff_that_may_be_read_wrongly_is_refused(tmp_path):
    pages = [Image.fromarray(_random((6, 9, 3)))] * 2
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    Image.fromarray(np.zeros((6, 9), np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(_random((6, 9), np.uint16, 65536)).save(tmp_path / "inverted.tif", tiffinfo={262: 0})
    pages[0].convert("CMYK").save(tmp_path / "ink.tif")
    pages[0].save(tmp_path / "cut.tif")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "cut.tif").read_bytes()[:60])
    for name, message in {
        "pages": "must hold one image. Received several pages",
        "float": "must have 8 bits per channel, .* Received 32 bits, F",
        "inverted": "Received 16 bits, I;16",
        "ink": "Received 8 bits, CMYK",
        "cut": "cut.tif cannot be decoded",
        "missing": "missing.tif does not exist",
    }.items():
        with pytest.raises(InputError, match=message):
            read_tiff(tmp_path / f"{name}.tif")


@pytest.mark.filterwarnings("ignore:.*16-bit PNG")  # is dark
@pytest.mark.parametrize("max_pixel_value", [None, 4095])
@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 3)])
def test_sixteen_bits_are_scaled_number_by_number(tmp_path, shape, max_pixel_value):
    numbers = _random(shape, np.uint16, 4096)
    assert cv2.imwrite(str(tmp_path / "a.png"), numbers[..., ::-1] if len(shape) == 3 else numbers)
    wide = np.broadcast_to(np.atleast_3d(numbers), (6, 9, 3)).astype(np.int64)
    expected = wide >> 8 if max_pixel_value is None else np.floor(255 * wide / max_pixel_value + 0.5)
    image = read_image(tmp_path / "a.png", max_pixel_value)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("kind", [2, 5, 7, 12])  # a text, a fraction, bytes, and a floating-point number
def test_a_tiff_whose_bits_are_no_number_is_refused(tmp_path, kind):
    path = tmp_path / "a.tif"
    Image.fromarray(_random((6, 9, 3))).save(path)
    contents = path.read_bytes()
    place = contents.index(b"\x02\x01\x03\x00")  # the tag 258, of whole numbers
    path.write_bytes(contents[: place + 2] + bytes([kind, 0]) + contents[place + 4 :])
    with pytest.raises(InputError, match="a.tif"):
        read_tiff(path)


def test_an_image_that_does_not_fit_into_the_memory_is_refused(tmp_path, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    Image.fromarray(_random((6, 9, 3))).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "convert", full)
    for read in (read_image, read_mask):
        with pytest.raises(InputError, match="a.png must fit into the memory"):
            read(tmp_path / "a.png")
