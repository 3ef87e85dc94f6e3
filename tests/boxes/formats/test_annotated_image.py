import numpy as np
import pytest

from care_tf.boxes.formats import AnnotatedImage
from care_tf.errors import InputError


def test_fractions_become_pixels_of_the_stated_size():
    image = AnnotatedImage("a.jpg", np.array([[0.25, 0.5, 0.75, 1]]), ("x",), width=200, height=100, unit="fraction")
    in_pixels = image.in_pixels()
    assert in_pixels.unit == "px" and in_pixels.boxes.tolist() == [[50, 50, 150, 100]]
    assert in_pixels.in_pixels() is in_pixels


def test_no_boxes_have_the_shape_of_boxes():
    assert AnnotatedImage("a.jpg", np.array([]), ()).boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": [[0, 0, 5, np.nan]]}, "file: box .* holds NaN or infinity"),
        ({"boxes": [[0, 0, np.inf, 5]]}, "holds NaN or infinity"),
        ({"boxes": [[5, 0, 5, 5]]}, "box .5, 0, 5, 5. has no area"),
        ({"boxes": [[0, 5, 5, 2]]}, "has no area"),
        ({"labels": ()}, "0 labels for 1 boxes"),
        ({"name": " "}, "the image has no name"),
        ({"unit": "inch"}, "the unit of boxes is one of px, fraction. Received 'inch'"),
        ({"width": 5}, "only one of the image's width and height"),
        ({"width": -5, "height": 5}, "image size -5 x 5 px is not positive"),
    ],
)
def test_what_is_no_box_is_refused(changes, message):
    good = {"name": "a.jpg", "boxes": [[0, 0, 5, 5]], "labels": ("x",), "where": "file"}
    with pytest.raises(InputError, match=message):
        AnnotatedImage(**{**good, **changes})


def test_a_missing_size_is_named_where_it_is_needed():
    image = AnnotatedImage("a.jpg", np.array([[0, 0, 1, 1]]), ("x",), unit="fraction")
    with pytest.raises(InputError, match="a.jpg: fractions become pixels by the image's size, which is unknown"):
        image.in_pixels()
    with pytest.raises(InputError, match="COCO needs the size of every image; a.jpg has none"):
        image.stated_size("COCO")
