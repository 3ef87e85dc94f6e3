"""The table of NIH's ChestX-ray14, as it is released and as spreadsheets save it again."""

import numpy as np
import pytest

from care_tf.boxes.formats import AnnotatedImage, detect_format, read_annotations
from care_tf.boxes.formats._nih_boxes import parse_nih, write_nih
from care_tf.errors import InputError

_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
_ROWS = "1_008.png,Mass,225.5,547,86.25,79.125,,,\n2_000.png,Nodule,1,2,3,4,,,\n1_008.png,Effusion,5,6,7,8,,,\n"


@pytest.mark.parametrize(
    "text",
    [
        _HEADER + _ROWS,
        _HEADER + _ROWS.replace(",,,", ""),
        _HEADER.replace(",,,", "") + _ROWS.replace(",,,", ""),
        _HEADER.replace("Bbox [x,y,w,h]", '"Bbox [x,y,w,h]"') + _ROWS.replace(",,,", ""),
        (_HEADER + _ROWS).replace(",", ";").replace(".5", ",5").replace(".25", ",25").replace(".125", ",125"),
        _HEADER.replace(",,,", ";;;").replace("x,F", "x;F").replace("l,B", "l;B") + _ROWS.replace(",", ";"),
    ],
)
def test_a_box_is_four_cells(tmp_path, text):
    (tmp_path / "BBox_List_2017.csv").write_text(text)
    assert detect_format(tmp_path / "BBox_List_2017.csv") == "nih"
    first, second = read_annotations(tmp_path / "BBox_List_2017.csv")
    assert (first.name, first.labels, first.width, first.height) == ("1_008.png", ("Mass", "Effusion"), 1024, 1024)
    assert first.boxes.tolist() == [[225.5, 547, 311.75, 626.125], [5, 6, 12, 14]]
    assert (second.labels, second.boxes.tolist()) == (("Nodule",), [[1, 2, 4, 6]])
    assert read_annotations(tmp_path / "BBox_List_2017.csv", image_size=None)[0].width is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Image Index,Finding Label,x,y,w,h\na,b,1,2,3,4\n",
            "f needs four columns of positions, the first called Bbox",
        ),
        ("Image Index,Finding Label,Bbox [x,y,w\na,b,1,2,3\n", "f needs four columns"),
        (_HEADER + ",Mass,1,2,3,4\n", "f, line 2: Image Index must be a text"),
        ("Image Index,Bbox [x,y,w,h]\n", "f has no column Finding Label"),
    ],
)
def test_another_table_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_nih(text, "f")


def test_images_are_scaled_to_the_frame_of_the_set_when_written(tmp_path):
    images = [AnnotatedImage("a.png", [[1, 2, 3, 6]], ("Mass",), 256, 256), AnnotatedImage("b.png", [], (), 256, 256)]
    write_nih(images, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "Image Index,Finding Label,Bbox [x,y,w,h]"
    (back,) = read_annotations(tmp_path / "out.csv")
    np.testing.assert_array_equal(back.boxes, [[4, 8, 12, 24]])
    with pytest.raises(InputError, match="a.png is 256 x 200 px and does not fit the 1024 x 1024 px of the NIH"):
        write_nih([AnnotatedImage("a.png", [[1, 2, 3, 6]], ("x",), 256, 200)], tmp_path / "out.csv")
    assert parse_nih(_HEADER, "f") == []
