import csv

import numpy as np
import pytest

import care_tf.datasets.rsna as rsna_data_set
from care_tf.boxes.formats import AnnotatedImage
from care_tf.boxes.formats._rsna_labels import read_rsna, rsna_rows, write_rsna
from care_tf.boxes.formats.annotated_image import refuse_bad
from care_tf.errors import InputError

_LABELS = """patientId,x,y,width,height,Target
0004cfab-14fd-4e49-80ba-63a80b6bddd6,,,,,0
00436515-870c-4b36-a041-de91049b9ab4,264.0,152.0,213.0,379.0,1
00436515-870c-4b36-a041-de91049b9ab4,562.0,152.0,256.0,453.0,1
"""
_CLASSES = """patientId,class
0004cfab-14fd-4e49-80ba-63a80b6bddd6,No Lung Opacity / Not Normal
00436515-870c-4b36-a041-de91049b9ab4,Lung Opacity
00436515-870c-4b36-a041-de91049b9ab4,Lung Opacity
"""


def _tables(tmp_path, labels=_LABELS, classes=None):
    (tmp_path / "stage_2_train_labels.csv").write_text(labels)
    if classes is not None:
        (tmp_path / "stage_2_detailed_class_info.csv").write_text(classes)
    return tmp_path


def test_both_tables(tmp_path):
    _tables(tmp_path, classes=_CLASSES)
    for path in (tmp_path, tmp_path / "stage_2_train_labels.csv"):
        first, second = read_rsna(path)
        assert (first.name, first.boxes.shape) == ("0004cfab-14fd-4e49-80ba-63a80b6bddd6", (0, 4))
        assert first.image_class == "No Lung Opacity / Not Normal"
        assert (second.width, second.height, second.image_class) == (1024, 1024, "Lung Opacity")
        assert second.boxes.tolist() == [[264, 152, 477, 531], [562, 152, 818, 605]]
        assert second.labels == ("Lung Opacity",) * 2


def test_the_frame_may_be_another_or_unknown(tmp_path):
    assert read_rsna(_tables(tmp_path), image_size=(512, 512))[0].width == 512
    assert read_rsna(tmp_path, image_size=None)[0].width is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Target\n", "target\n", "labels.csv has no column Target"),
        (",0\n", ",2\n", "labels.csv.* line 2: 0004cfab.* has Target '2', which must be 0 or 1"),
        (",,,,,0", ",1,,,,0", "line 2: 0004cfab.* has Target 0 and a box"),
        ("562.0", "", "line 4: 00436515.* has Target 1, and .* is no box of four finite numbers"),
        ("562.0", "1_0", "line 4: 00436515.* has Target 1, and .* is no box of four finite numbers"),
        ("256.0", "-256.0", "line 4: 00436515.* has the box .* must have a width and a height"),
        ("562.0,152.0,256.0,453.0", "264.0,152.0,213,379.0", "line 4: 00436515.* occurs twice with the same box"),
        (
            "0004cfab-14fd-4e49-80ba-63a80b6bddd6",
            "00436515-870c-4b36-a041-de91049b9ab4",
            "line 3: 00436515.* has Target 0 and another row",
        ),
        ("0004cfab-14fd-4e49-80ba-63a80b6bddd6", "", "line 2: an empty patientId is not the name of a file"),
    ],
)
def test_bad_tables_are_refused_as_the_data_set_refuses_them(tmp_path, old, new, message):
    _tables(tmp_path, _LABELS.replace(old, new), _CLASSES)
    (tmp_path / "stage_2_train_images").mkdir()
    for read in (lambda root: refuse_bad(read_rsna(root)), rsna_data_set.read_rsna):
        with pytest.raises(InputError, match=message):
            read(tmp_path)


def test_tables_that_disagree_are_refused(tmp_path):
    _tables(tmp_path, classes=_CLASSES + "00436515-870c-4b36-a041-de91049b9ab4,Normal\n")
    with pytest.raises(InputError, match="line 5: 00436515.* is Normal and, further up, Lung Opacity"):
        read_rsna(tmp_path)
    _tables(tmp_path, classes=_CLASSES.replace("Lung Opacity\n", "Normal\n"))
    with pytest.raises(InputError, match="00436515.* has 2 boxes and class Normal: only Lung Opacity has boxes"):
        read_rsna(tmp_path)


def test_the_classes_may_be_any_and_name_other_images(tmp_path):
    _tables(tmp_path, classes="patientId,class\n0004cfab-14fd-4e49-80ba-63a80b6bddd6,nevus\nx,other\n")
    assert [image.image_class for image in read_rsna(tmp_path)] == ["nevus", ""]


def _images(width, height, names=("a.png", "x/b.png")):
    boxes = ([[10, 20, 30, 60]], [])
    return [
        AnnotatedImage(name, box, ("x",) * len(box), width=width, height=height, image_class="Normal")
        for name, box in zip(names, boxes, strict=True)
    ]


def test_square_images_are_scaled_to_the_frame_of_the_challenge(tmp_path):
    assert rsna_rows(_images(256, 256)) == [["a", 40, 80, 80, 160, 1], ["b", "", "", "", "", 0]]
    assert rsna_rows(_images(256, 200), image_size=None)[0] == ["a", 10, 20, 20, 40, 1]
    write_rsna(_images(256, 256), tmp_path / "boxes.csv", class_file=tmp_path / "classes.csv")
    with open(tmp_path / "classes.csv", newline="") as file:
        assert list(csv.reader(file)) == [["patientId", "class"], ["a", "Lung Opacity"], ["b", "Normal"]]
    back = read_rsna(tmp_path / "boxes.csv", class_file=tmp_path / "classes.csv")
    assert [image.image_class for image in back] == ["Lung Opacity", "Normal"]
    np.testing.assert_array_equal(back[0].boxes, [[40, 80, 120, 240]])


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(InputError, match="a.png is 256 x 200 px and does not fit the 1024 x 1024 px"):
        write_rsna(_images(256, 200), tmp_path / "boxes.csv")
    with pytest.raises(InputError, match="y/a.jpg and a.png would share the patientId a"):
        write_rsna(_images(256, 256, ("y/a.jpg", "a.png")), tmp_path / "boxes.csv")
    with pytest.raises(InputError, match="cannot be the table of boxes and of classes"):
        write_rsna(_images(256, 256), tmp_path / "boxes.csv", class_file=tmp_path / "boxes.csv")
    assert list(tmp_path.iterdir()) == []
