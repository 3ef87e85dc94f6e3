import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from care_tf.box_geometry import tight_box
from care_tf.boxes.exchange._image_frame import boxes_in_image, turned_boxes
from care_tf.boxes.formats import AnnotatedImage
from care_tf.errors import InputError
from care_tf.images.header import ImageHeader, read_image_header
from care_tf.images.pixels import read_image

_STORED = (48, 32)  # width, height
_BOX = [8, 8, 24, 16]
_ORIENTATIONS = range(1, 9)


def _write(path, orientation):
    """A black image, white in the box of its stored pixels, with an EXIF orientation."""
    pixels = np.zeros((_STORED[1], _STORED[0], 3), np.uint8)
    pixels[_BOX[1] : _BOX[3], _BOX[0] : _BOX[2]] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, quality=100, exif=exif)


def _annotated(boxes, size=(None, None), unit="px"):
    return AnnotatedImage("a.jpg", boxes, ("x",) * len(boxes), width=size[0], height=size[1], unit=unit, where="f")


@pytest.mark.parametrize("orientation", _ORIENTATIONS)
def test_boxes_turn_with_their_pixels(tmp_path, orientation):
    _write(tmp_path / "a.jpg", orientation)
    header = read_image_header(tmp_path / "a.jpg")
    assert header.orientation == orientation and header.stored_size == _STORED
    shown = tight_box(read_image(tmp_path / "a.jpg")[..., 0] > 127)
    np.testing.assert_array_equal(turned_boxes([_BOX], orientation, *_STORED), shown)
    # A file that states the stored size: turned, where that can be told; on demand otherwise.
    exif = "auto" if orientation >= 5 else "stored"
    framed = boxes_in_image(_annotated([_BOX], _STORED), header, exif=exif)
    np.testing.assert_array_equal(framed.boxes, shown)
    assert framed.turned == ("" if orientation == 1 else f"EXIF orientation {orientation}")
    assert (framed.scaled, framed.untold) == ("", False)
    # The same at half the size, and in fractions.
    half = boxes_in_image(_annotated(np.array([_BOX]) / 2, (24, 16)), header, exif=exif)
    np.testing.assert_array_equal(half.boxes, shown)
    assert half.scaled == "24 x 16 px to 48 x 32 px"
    fractions = _annotated(np.array([_BOX]) / np.array(_STORED * 2), unit="fraction")
    np.testing.assert_allclose(boxes_in_image(fractions, header, exif="stored").boxes, shown)


@pytest.mark.parametrize("orientation", _ORIENTATIONS)
def test_boxes_of_the_oriented_image_stay(tmp_path, orientation):
    _write(tmp_path / "a.jpg", orientation)
    header = read_image_header(tmp_path / "a.jpg")
    for annotated in (_annotated([[1, 2, 3, 5]], (header.width, header.height)), _annotated([[1, 2, 3, 5]])):
        framed = boxes_in_image(annotated, header)
        assert framed.boxes.tolist() == [[1, 2, 3, 5]]
        assert (framed.scaled, framed.turned) == ("", "")
        # Sizes tell 90 degrees from none, and nothing else.
        is_told = orientation == 1 or (annotated.width is not None and orientation >= 5)
        assert framed.untold == (not is_told)


@given(st.sampled_from(_ORIENTATIONS), st.integers(0, 47), st.integers(0, 31), st.data())
def test_turning_keeps_areas_and_stays_inside(orientation, x0, y0, data):
    x1, y1 = data.draw(st.integers(x0 + 1, 48)), data.draw(st.integers(y0 + 1, 32))
    (turned,) = turned_boxes([[x0, y0, x1, y1]], orientation, *_STORED).tolist()
    width, height = _STORED if orientation < 5 else _STORED[::-1]
    assert 0 <= turned[0] < turned[2] <= width and 0 <= turned[1] < turned[3] <= height
    assert (turned[2] - turned[0]) * (turned[3] - turned[1]) == (x1 - x0) * (y1 - y0)


@pytest.mark.parametrize(
    ("stated", "size", "expected"),
    [
        ((400, 300), (200, 150), [5, 10, 20, 40]),
        ((100, 75), (200, 150), [20, 40, 80, 160]),
        ((333, 250), (1000, 750), [10 * 1000 / 333, 60, 40 * 1000 / 333, 240]),
        ((200, 150), (200, 150), [10, 20, 40, 80]),
    ],
)
def test_another_size_of_the_same_shape_is_scaled(stated, size, expected):
    framed = boxes_in_image(_annotated([[10, 20, 40, 80]], stated), ImageHeader("JPEG", *size))
    np.testing.assert_allclose(framed.boxes, [expected])
    assert bool(framed.scaled) == (stated != size)


@pytest.mark.parametrize("stated", [(200, 151), (150, 200), (1024, 1024), (400, 310)])
def test_another_shape_is_refused(stated):
    message = f"f is about {stated[0]} x {stated[1]} px, but the image has 2000 x 1500 px; annotate this image"
    with pytest.raises(InputError, match=message):
        boxes_in_image(_annotated([[1, 2, 3, 4]], stated), ImageHeader("JPEG", 2000, 1500))


def test_another_shape_than_both_of_a_turned_image_is_refused():
    with pytest.raises(InputError, match="the image has 32 x 48 px after EXIF rotation .48 x 32 px before.; annotate"):
        boxes_in_image(_annotated([[1, 2, 3, 4]], (100, 100)), ImageHeader("JPEG", 32, 48, 6))


def test_fractions_are_of_the_image():
    framed = boxes_in_image(_annotated([[0.25, 0.5, 0.75, 1]], unit="fraction"), ImageHeader("PNG", 200, 100))
    assert framed.boxes.tolist() == [[50, 50, 150, 100]] and framed.scaled == ""
