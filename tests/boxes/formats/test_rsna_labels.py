import csv

import numpy as np
import pytest

from care_tf.boxes.formats import AnnotatedImage
from care_tf.boxes.formats.rsna_labels import parse_rsna, parse_rsna_classes, read_rsna, rsna_rows, write_rsna
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


def test_both_tables(tmp_path):
    (tmp_path / "stage_2_train_labels.csv").write_text(_LABELS)
    (tmp_path / "stage_2_detailed_class_info.csv").write_text(_CLASSES)
    for path in (tmp_path, tmp_path / "stage_2_train_labels.csv"):
        first, second = read_rsna(path)
        assert (first.name, first.boxes.shape) == ("0004cfab-14fd-4e49-80ba-63a80b6bddd6", (0, 4))
        assert first.image_class == "No Lung Opacity / Not Normal"
        assert (second.width, second.height, second.image_class) == (1024, 1024, "Lung Opacity")
        assert second.boxes.tolist() == [[264, 152, 477, 531], [562, 152, 818, 605]]
        assert second.labels == ("Lung Opacity",) * 2


def test_the_frame_may_be_another_or_unknown():
    assert parse_rsna(_LABELS, "f.csv", image_size=(512, 512))[0].width == 512
    assert parse_rsna(_LABELS, "f.csv", image_size=None)[0].width is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Target\n", "target\n", "f.csv has no column Target"),
        (",0\n", ",2\n", "f.csv, line 2: Target must be 0 or 1; received '2'"),
        (",,,,,0", ",1,,,,0", "f.csv, line 2: Target is 0, but there is a box"),
        ("562.0", "", "f.csv, line 4: x must be a finite number; received ''"),
        ("256.0", "-256.0", "patient 00436515.*has no area"),
        (
            "0004cfab-14fd-4e49-80ba-63a80b6bddd6",
            "00436515-870c-4b36-a041-de91049b9ab4",
            "line 3: patient .* Target 0 and 1",
        ),
        ("0004cfab-14fd-4e49-80ba-63a80b6bddd6", "", "line 2: patientId must be a text"),
    ],
)
def test_bad_tables_are_refused(old, new, message):
    with pytest.raises(InputError, match=message):
        parse_rsna(_LABELS.replace(old, new), "f.csv")


def test_tables_that_disagree_are_refused():
    with pytest.raises(InputError, match="patient .* has the classes 'Lung Opacity' and 'Normal'"):
        parse_rsna_classes(_CLASSES + "00436515-870c-4b36-a041-de91049b9ab4,Normal\n", "c.csv")
    class_of = parse_rsna_classes(_CLASSES.replace("Lung Opacity\n", "Normal\n"), "c.csv")
    with pytest.raises(InputError, match="patient 00436515.* has Target 1 but the class 'Normal'"):
        parse_rsna(_LABELS, "f.csv", class_of=class_of)


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
