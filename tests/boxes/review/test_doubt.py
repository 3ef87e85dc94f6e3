import numpy as np
import pytest

from care_tf.boxes.box_details import details_path
from care_tf.boxes.review._doubt import geometric_doubt, read_details
from care_tf.errors import InputError


def _doubt(*boxes):
    return geometric_doubt(np.array(boxes, np.float32).reshape(-1, 4), 200, 150)


@pytest.mark.parametrize(
    ("boxes", "value", "reason"),
    [
        ([], 1.0, "no box"),
        ([[50, 40, 110, 100]], 0.0, ""),
        ([[0, 40, 60, 100]], 0.4, "touches the border"),
        ([[140, 40, 200, 100]], 0.4, "touches the border"),
        ([[50, 90, 110, 150]], 0.4, "touches the border"),
        ([[50, 40, 66, 58]], 0.7, "very small"),
        ([[1, 1, 199, 149]], 0.7, "very large"),
        ([[20, 20, 80, 80], [100, 20, 150, 90]], 0.6, "2 boxes"),
        ([[0, 0, 200, 150], [0, 0, 100, 100]], 1 - 0.3 * 0.4 * 0.6, "very large, 2 boxes, touches the border"),
    ],
)
def test_every_oddity_raises_the_doubt(boxes, value, reason):
    assert _doubt(*boxes) == (pytest.approx(value), reason)


def test_the_size_of_a_box_counts_against_the_image():
    box = np.array([[50, 40, 66, 58]], np.float32)
    assert geometric_doubt(box, 2000, 1500).reason == "very small"
    assert geometric_doubt(box, 100, 80).reason == ""


def test_details_are_read_by_absolute_path(tmp_path):
    path = details_path(tmp_path / "boxes.csv")
    assert path == tmp_path / "boxes.details.csv"
    path.write_text(
        "image,status,num_boxes,doubt,message\n"
        "images/a.png,boxes,1,0.25,two maps disagree\n"
        "images/b.png,no box,0,,\n"
        "images/c.png,failed,0,,cannot be decoded\n"
        "images/d.png,boxes,2,,\n"
    )
    assert read_details(path) == {
        str(tmp_path / "images/a.png"): (0.25, "two maps disagree"),
        str(tmp_path / "images/b.png"): (1.0, "no box"),
        str(tmp_path / "images/c.png"): (1.0, "cannot be decoded"),
    }


@pytest.mark.parametrize("doubt", ["1.5", "-0.1", "nan", "high"])
def test_a_doubt_outside_0_to_1_is_refused(tmp_path, doubt):
    path = tmp_path / "m.details.csv"
    path.write_text(f"image,status,num_boxes,doubt,message\na.png,boxes,1,{doubt},\n")
    with pytest.raises(InputError, match=f"m.details.csv, line 2: doubt must be a number from 0 to 1.*'{doubt}'"):
        read_details(path)


def test_details_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "m.details.csv"
    path.write_text("image,status\na.png,boxes\n")
    with pytest.raises(InputError, match="m.details.csv has no column doubt, message"):
        read_details(path)
    path.write_bytes(b"\xff")
    with pytest.raises(InputError, match="m.details.csv is not UTF-8 text"):
        read_details(path)
