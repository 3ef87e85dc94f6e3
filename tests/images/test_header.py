import io
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from care_tf.errors import InputError
from care_tf.images._plain_header import plain_header
from care_tf.images.header import ImageHeader, exif_orientation, read_image_header
from care_tf.images.pixels import read_image, read_mask

_RNG = np.random.default_rng(0)


def _encoded(mode="RGB", size=(20, 11), name="JPEG", **options):
    shape = (size[1], size[0], len(mode)) if len(mode) > 1 else (size[1], size[0])
    with io.BytesIO() as file:
        Image.fromarray(_RNG.integers(0, 255, shape, np.uint8), mode).save(file, name, **options)
        return file.getvalue()


def _exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


PLAIN = {
    "JPEG": _encoded(),
    "gray JPEG": _encoded("L"),
    "progressive JPEG": _encoded(progressive=True),
    "JPEG with a comment": _encoded(comment=b"of the camera"),
    "JPEG with a profile": _encoded(icc_profile=b"p" * 40),
    "PNG": _encoded(name="PNG"),
    "gray PNG": _encoded("L", name="PNG"),
    "transparent PNG": _encoded("RGBA", name="PNG"),
}
ODD = {
    "CMYK JPEG": _encoded("CMYK"),
    "turned JPEG": _encoded(exif=_exif(6)),
    "PNG of one bit": _encoded("L", name="PNG", bits=1),
    "PNG with its size in print": _encoded(name="PNG", dpi=(72, 72)),
    "GIF": _encoded("L", name="GIF"),
    "large profile": _encoded(icc_profile=b"p" * 9000),
}


def _by_pillow(contents):
    """Format and size, or None where Pillow refuses the file or it has no end."""
    try:
        with Image.open(io.BytesIO(contents), formats=("JPEG", "PNG")) as image:
            name, orientation = ("PNG" if image.format == "PNG" else "JPEG"), exif_orientation(image)
            end = b"IEND" if name == "PNG" else b"\xff\xd9"
            return (name, *image.size) if end in contents and orientation == 1 else None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return None


# oracle


@settings(max_examples=400)
@given(st.data())
def test_a_broken_file_is_never_read_otherwise_than_by_pillow(tmp_path_factory, data):
    contents = bytearray(data.draw(st.sampled_from([*PLAIN.values(), *ODD.values()])))
    header_bytes = min(len(contents), 700)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, header_bytes - 1))
        change = data.draw(st.sampled_from(["set", "insert", "remove", "cut"]))
        if change == "set":
            contents[place : place + 1] = bytes([data.draw(st.sampled_from([0, 1, 2, 8, 0xC0, 0xDA, 0xE1, 0xFF]))])
        elif change == "insert":
            contents[place:place] = data.draw(st.binary(max_size=4))
        else:
            del contents[place : place + 1 if change == "remove" else None]
    path = tmp_path_factory.getbasetemp() / "broken"
    path.write_bytes(contents)
    assert plain_header(path) in (None, _by_pillow(bytes(contents)))


# identities


@pytest.mark.parametrize("name", PLAIN)
def test_plain_files_are_read_without_pillow(tmp_path, name):
    (tmp_path / "a").write_bytes(PLAIN[name])
    assert plain_header(tmp_path / "a") == _by_pillow(PLAIN[name]) == ("PNG" if "PNG" in name else "JPEG", 20, 11)
    (tmp_path / "a").write_bytes(PLAIN[name][:-20])
    assert plain_header(tmp_path / "a") is None


@pytest.mark.parametrize("name", ODD)
def test_other_files_are_left_to_pillow(tmp_path, name):
    (tmp_path / "a").write_bytes(ODD[name])
    assert plain_header(tmp_path / "a") is None
    assert plain_header(tmp_path) is None and plain_header(tmp_path / "none") is None


def test_a_path_that_no_file_can_have_is_an_input_error():
    with pytest.raises(InputError, match="cannot be read: embedded null byte"):
        read_image_header("a\0b.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name")
@pytest.mark.parametrize("read", [read_image_header, read_image, read_mask])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(InputError, match="a.png must be a file. Received a pipe"):
        read(tmp_path / "a.png")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("read", [read_image_header, read_image, read_mask])
def test_an_image_that_would_fill_the_memory_is_refused_by_its_header(tmp_path, read):
    contents = bytearray(_encoded(name="PNG"))
    contents[16:24] = struct.pack(">II", 13_400, 13_350)
    contents[29:33] = struct.pack(">I", zlib.crc32(contents[12:29]))
    (tmp_path / "a.png").write_bytes(contents)
    with pytest.raises(InputError, match="at most 89,478,485 pixels. Received 13,400 x 13,350"):
        read(tmp_path / "a.png")


def test_a_turned_image_has_the_size_it_is_shown_in(tmp_path):
    (tmp_path / "a.jpg").write_bytes(ODD["turned JPEG"])
    assert read_image_header(tmp_path / "a.jpg") == ImageHeader("JPEG", 11, 20, 6)
