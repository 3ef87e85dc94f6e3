import copy
import json

import pytest

from care_tf.boxes.formats._labelme import parse_labelme, read_labelme
from care_tf.boxes.formats.annotated_image import refuse_bad
from care_tf.errors import InputError


def _shape(kind, points, label="lesion", **more):
    shape = {"label": label, "points": points, "group_id": None, "description": "", "shape_type": kind, "flags": {}}
    return {**shape, "mask": None, **more}


_LABELME = {
    "version": "5.5.0",
    "flags": {},
    "shapes": [_shape("rectangle", [[225.5, 125.25], [100.5, 50.25]])],
    "imagePath": "..\\images\\ISIC_0024306.jpg",
    "imageData": "/9j/4AAQSkZJRg==",
    "imageHeight": 450,
    "imageWidth": 600,
}


def _with(**changes):
    return {**copy.deepcopy(_LABELME), **changes}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (_shape("rectangle", [[225.5, 125.25], [100.5, 50.25]]), [100.5, 50.25, 225.5, 125.25]),
        (_shape("polygon", [[10, 20], [30, 25], [15, 60]]), [10, 20, 30, 60]),
        (_shape(None, [[10, 20], [30, 25], [15, 60]]), [10, 20, 30, 60]),
        (_shape("oriented_rectangle", [[20, 0], [40, 20], [20, 40], [0, 20]]), [0, 0, 40, 40]),
        (_shape("rotation", [[20, 0], [40, 20], [20, 40], [0, 20]], direction=0.785), [0, 0, 40, 40]),
        (_shape("circle", [[50, 60], [53, 64]]), [45, 55, 55, 65]),
        (_shape("mask", [[10, 20], [29, 39]], mask="iVBORw0KGgo="), [10, 20, 30, 40]),
    ],
)
def test_every_area_becomes_its_tight_rectangle(shape, expected):
    image = parse_labelme(_with(shapes=[shape]), "f.json")
    assert image.boxes.tolist() == [expected]
    assert (image.labels, image.width, image.height, image.ignored) == (("lesion",), 600, 450, ())


def test_points_and_lines_are_no_boxes():
    shapes = [
        _shape("point", [[1, 2]], "mole"),
        _shape("linestrip", [[1, 2], [3, 4]], ""),
        _shape("line", [[1, 2], [3, 4]]),
    ]
    image = parse_labelme(_with(shapes=shapes), "f.json")
    assert image.boxes.shape == (0, 4)
    assert image.ignored == ("point mole", "linestrip", "line lesion")


def test_the_image_is_found_from_the_file(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(_LABELME).encode())
    (tmp_path / "train" / "b.json").write_text(json.dumps(_with(imagePath="b.jpg", shapes=[], imageWidth=None)))
    first, second = read_labelme(tmp_path)
    assert first.name == "images/ISIC_0024306.jpg"
    assert (second.name, second.width, second.boxes.shape) == ("train/b.jpg", None, (0, 4))
    (alone,) = read_labelme(tmp_path / "train" / "b.json")
    assert alone.name == "b.jpg"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "f.json is not a labelme file: it has no shapes"),
        ({"images": []}, "is not a labelme file"),
        (_with(shapes="x"), "shapes must be a list of objects"),
        (_with(imagePath=None), "imagePath must be a text that is not empty"),
        (_with(imagePath=5), "imagePath must be a text"),
        (
            _with(shapes=[_shape("rectangle", [[1, 2], [3, None]])]),
            "f.json: shape 1: a point of points must be a finite",
        ),
        (_with(shapes=[_shape("rectangle", [[1, 2]])]), "has no area"),
        (_with(shapes=[_shape("rectangle", [])]), "shape 1: points must be a list that is not empty"),
        (_with(shapes=[_shape("star", [[1, 2], [3, 4]])]), "shape 1 of type 'star' with 2 points is no shape"),
        (_with(shapes=[_shape("circle", [[1, 2]])]), "of type 'circle' with 1 points"),
        (_with(shapes=[_shape("rectangle", [[1, 2], [3, 4]], label=["x"])]), "label must be a text"),
    ],
)
def test_bad_files_are_refused(document, message):
    with pytest.raises(InputError, match=message):
        refuse_bad([parse_labelme(document, "f.json")])


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no JSON files"):
        read_labelme(tmp_path)
