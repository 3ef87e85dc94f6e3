import io

import numpy as np
import pytest
from PIL import Image

from care_tf.boxes.review._served_image import browser_image, browser_thumbnail, browser_values
from care_tf.errors import InputError
from care_tf.images.pixels import read_image


def _random(shape, dtype=np.uint8, top=256):
    return np.random.default_rng(0).integers(0, top, shape).astype(dtype)


def _exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize(("suffix", "media_type"), [("jpg", "image/jpeg"), ("png", "image/png")])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_plain_file_goes_out_as_it_is(tmp_path, suffix, media_type, mode):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(_random((6, 9, 3))).convert(mode).save(path)
    assert browser_image(path) == (path.read_bytes(), media_type)


def test_an_unrotated_jpeg_with_exif_goes_out_as_it_is(tmp_path):
    Image.fromarray(_random((6, 9, 3))).save(tmp_path / "a.jpg", exif=_exif(1))
    assert browser_image(tmp_path / "a.jpg")[0] == (tmp_path / "a.jpg").read_bytes()


@pytest.mark.parametrize(
    ("name", "mode", "orientation"),
    [
        *[("a.jpg", "RGB", orientation) for orientation in range(2, 9)],
        ("a.jpg", "CMYK", 1),
        ("a.png", "RGB", 6),
        ("a.png", "P", 1),
        ("a.png", "RGBA", 1),
        ("a.png", "1", 1),
        ("a.png", "I;16", 1),
    ],
)
def test_anything_else_goes_out_as_the_pixels_that_the_package_reads(tmp_path, name, mode, orientation):
    if mode == "I;16":
        image = Image.fromarray(_random((6, 9), np.uint16, 65536))
    else:
        image = Image.fromarray(_random((6, 9, 3))).convert(mode)
    image.save(tmp_path / name, exif=_exif(orientation))
    data, media_type = browser_image(tmp_path / name)
    assert media_type == "image/png"
    with Image.open(io.BytesIO(data)) as served:
        assert "exif" not in served.info and served.mode in ("RGB", "L")
        np.testing.assert_array_equal(np.asarray(served.convert("RGB")), read_image(tmp_path / name))


def test_exif_after_the_pixels_of_a_png_does_not_leave(tmp_path):
    plain, rotated = tmp_path / "plain.png", tmp_path / "rotated.png"
    Image.fromarray(_random((6, 9, 3))).save(plain)
    Image.fromarray(_random((6, 9, 3))).save(rotated, exif=_exif(6))
    source = rotated.read_bytes()
    start = source.index(b"eXIf") - 4
    chunk = source[start : start + 12 + int.from_bytes(source[start : start + 4], "big")]
    end = plain.read_bytes().index(b"IEND") - 4
    late = tmp_path / "late.png"
    late.write_bytes(plain.read_bytes()[:end] + chunk + plain.read_bytes()[end:])
    with Image.open(late) as image:
        assert image.size == (9, 6)
        image.load()
        assert image.getexif()[0x0112] == 6  # a file that some browsers would rotate
    data, _ = browser_image(late)
    assert b"eXIf" not in data
    with Image.open(io.BytesIO(data)) as served:
        assert served.size == (9, 6)


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(InputError, match="image .*gone.png does not exist"):
        browser_image(tmp_path / "gone.png")
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match="image .*a.png cannot be decoded"):
        browser_image(tmp_path / "a.png")


def test_sixteen_bits_go_out_by_the_range_that_was_asked_for(tmp_path):
    cv2 = pytest.importorskip("cv2")
    for shape in ((6, 9), (6, 9, 3)):  # Pillow calls the second plain RGB
        cv2.imwrite(str(tmp_path / "a.png"), _random(shape, np.uint16, 4096))
        data, media_type = browser_image(tmp_path / "a.png", 4095)
        assert media_type == "image/png"
        shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        np.testing.assert_array_equal(shown, read_image(tmp_path / "a.png", 4095))


def test_values_are_those_of_gray_16_bit_files_only(tmp_path):
    cv2 = pytest.importorskip("cv2")
    numbers = _random((6, 9), np.uint16, 4096)
    cv2.imwrite(str(tmp_path / "gray.png"), numbers)
    found = browser_values(tmp_path / "gray.png", 4095)
    np.testing.assert_array_equal(np.frombuffer(found.data, "<u2").reshape(found.height, found.width), numbers)
    assert found.white == 4095 and browser_values(tmp_path / "gray.png").white == 65535
    cv2.imwrite(str(tmp_path / "color.png"), _random((6, 9, 3), np.uint16, 4096))
    Image.fromarray(_random((6, 9))).save(tmp_path / "gray8.png")
    assert browser_values(tmp_path / "color.png") is browser_values(tmp_path / "gray8.png") is None


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_thumbnails_are_small_and_turned_as_the_image_is(tmp_path, name):
    Image.fromarray(np.full((300, 900, 3), 90, np.uint8)).save(tmp_path / name, exif=_exif(6))
    with Image.open(io.BytesIO(browser_thumbnail(tmp_path / name))) as thumbnail:
        assert thumbnail.size == ((43, 128) if name == "a.jpg" else (128, 43))
    with pytest.raises(InputError, match="gone.png does not exist"):
        browser_thumbnail(tmp_path / "gone.png")
