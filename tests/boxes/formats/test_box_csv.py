import numpy as np
import pytest

from care_tf.boxes.formats import AnnotatedImage
from care_tf.boxes.formats._box_csv import csv_rows, parse_csv_table
from care_tf.boxes.formats.annotated_image import refuse_bad
from care_tf.errors import InputError


def test_rows_of_an_image_come_together():
    text = "image,x0,y0,x1,y1,label,score\nb.jpg,1,2,3.5,4,lesion,.9\na.jpg,,,,,,\nb.jpg,5,6,7,8,,\n"
    first, second = parse_csv_table(text, "f.csv")
    assert (first.name, first.labels, first.width) == ("b.jpg", ("lesion", ""), None)
    assert first.boxes.tolist() == [[1, 2, 3.5, 4], [5, 6, 7, 8]]
    assert second.name == "a.jpg" and second.boxes.shape == (0, 4)


def test_the_label_is_optional_and_the_size_may_be_in_the_table_or_given():
    text = "image,x0,y0,x1,y1,image_width,image_height\na.jpg,1,2,3,4,40,30\nb.jpg,1,2,3,4,,\n"
    first, second = parse_csv_table(text, "f.csv", image_size=(80, 60))
    assert (first.width, first.height, second.width, second.height) == (40, 30, 80, 60)
    assert first.labels == ("",)


def test_the_table_of_tensorflow():
    text = "filename\twidth\theight\tclass\txmin\tymin\txmax\tymax\na.jpg\t40\t30\tDF\t1\t2\t3,5\t4\n"
    (image,) = parse_csv_table(text, "f.csv")
    assert (image.name, image.labels, image.width, image.height) == ("a.jpg", ("DF",), 40, 30)
    assert image.boxes.tolist() == [[1, 2, 3.5, 4]]
    (image,) = parse_csv_table(text.replace("3,5", "x"), "f.csv")
    assert image.bad == ("f.csv, line 2: xmax must be a finite number. Received 'x'",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,xmin,ymin,xmax,ymax\n", "f.csv has no column x0, y0, x1, y1; its first line is 'image,xmin"),
        ("image,x0,y0,x1,y1\na.jpg,1,2,,4\n", "f.csv, line 2: x1 must be a finite number. Received ''"),
        ("image,x0,y0,x1,y1\na.jpg,1,2,nan,4\n", "f.csv, line 2: x1 must be a finite number"),
        ("image,x0,y0,x1,y1\n,1,2,3,4\n", "f.csv, line 2: image must be a text"),
        ("image,x0,y0,x1,y1\na.jpg,5,2,3,4\n", "f.csv: image a.jpg: box .5, 2, 3, 4. has no area"),
        (
            "image,x0,y0,x1,y1,image_width,image_height\na.jpg,1,2,3,4,40,30\na.jpg,1,2,3,4,41,30\n",
            "f.csv, line 3: another row of a.jpg states another size",
        ),
    ],
)
def test_bad_tables_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        refuse_bad(parse_csv_table(text, "f.csv"))


def test_rows_are_exact_and_short():
    image = AnnotatedImage("a.jpg", np.array([[1, 2, 100 / 3, 4]], np.float32), ("x",), width=40, height=30)
    empty = AnnotatedImage("b.jpg", [], ())
    assert csv_rows([image, empty])[1:] == [
        ["a.jpg", 1, 2, 33.333332, 4, "x", 40, 30],
        ["b.jpg", "", "", "", "", "", "", ""],
    ]
