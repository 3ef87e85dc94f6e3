"""Image files of any kind become the same pixels, whatever they are called."""

import struct

import numpy as np
import pytest
from downloads import write_dicom
from PIL import Image

from care_tf.errors import InputError
from care_tf.serving._image_files import TooLargeError, is_image_file, read_pixels, refuse_large


@pytest.fixture
def gray():
    return np.random.default_rng(0).integers(0, 256, (6, 9), np.uint8)


def test_every_kind_gives_the_same_pixels_under_any_name(tmp_path, gray):
    pytest.importorskip("pydicom")
    Image.fromarray(gray).save(tmp_path / "a.png")
    Image.fromarray(gray).save(tmp_path / "a.tif")
    write_dicom(tmp_path / "1.2.840.3", gray)
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.png").read_bytes())
    for name in ("a.png", "a.tif", "1.2.840.3", "b.jpg"):
        pixels = read_pixels(str(tmp_path / name))
        assert is_image_file(str(tmp_path / name)) and pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, np.repeat(gray[..., np.newaxis], 3, axis=2), name)


def test_a_jpeg_is_oriented(tmp_path, gray):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gray).save(tmp_path / "a.jpg", exif=exif)
    assert read_pixels(str(tmp_path / "a.jpg")).shape == (9, 6, 3)


def test_a_dicom_file_that_starts_as_tiff_is_dicom(tmp_path, gray):
    pytest.importorskip("pydicom")
    content = write_dicom(tmp_path / "a", gray).read_bytes()
    (tmp_path / "a").write_bytes(b"II*\0" + content[4:])
    np.testing.assert_array_equal(read_pixels(str(tmp_path / "a"))[..., 0], gray)


def test_what_is_no_image_says_so(tmp_path):
    (tmp_path / "notes.txt").write_text("some notes")
    (tmp_path / "empty.png").touch()
    for name, message in {
        "notes.txt": "notes.txt must be a PNG, JPEG, TIFF or DICOM file. Received one that starts with b'some'",
        "empty.png": "empty.png must be a PNG, .* starts with b''",
        "missing.png": "missing.png does not exist",
        ".": "cannot be read: Is a directory",
    }.items():
        with pytest.raises(InputError, match=message):
            read_pixels(str(tmp_path / name))
    assert not is_image_file(str(tmp_path / "notes.txt")) and not is_image_file(str(tmp_path / "missing"))


def test_a_tile_larger_than_the_image_is_refused(tmp_path, gray):
    Image.fromarray(gray).save(tmp_path / "a.tif", tiffinfo={65_000: 20_000, 65_001: 20_000})
    content = (tmp_path / "a.tif").read_bytes()
    for own, tag in ((65_000, 322), (65_001, 323)):  # Pillow writes no tags of tiles
        content = content.replace(struct.pack("<HHI", own, 3, 1), struct.pack("<HHI", tag, 3, 1))
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(TooLargeError, match="a.tif must have at most 50,000,000 .* Received 20,000 x 20,000. Shr"):
        refuse_large(tmp_path / "a.tif")
