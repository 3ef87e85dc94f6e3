import copy
import json

import numpy as np
import pytest

from care_tf.boxes.formats._label_studio import name_of_url, parse_label_studio, read_label_studio
from care_tf.boxes.formats.annotated_image import refuse_bad
from care_tf.errors import InputError


def _region(value, kind="rectanglelabels", **more):
    region = {"original_width": 600, "original_height": 450, "image_rotation": 0, "value": value, "id": "wHx2k8"}
    return {**region, "from_name": "label", "to_name": "image", "type": kind, "origin": "manual", **more}


def _rectangle(x, y, width, height, rotation=0, labels=("lesion",)):
    return {"x": x, "y": y, "width": width, "height": height, "rotation": rotation, "rectanglelabels": list(labels)}


def _task(results, image="/data/upload/3/1a2b3c4d-ISIC_0024306.jpg", **changes):
    annotation = {"id": 36030, "completed_by": 1, "result": results, "was_cancelled": False, "ground_truth": False}
    annotation |= {"created_at": "2024-01-10T10:10:10.000000Z", "lead_time": 7.2, "prediction": {}, **changes}
    task = {"id": 51406, "annotations": [annotation], "file_upload": "1a2b3c4d-ISIC_0024306.jpg", "drafts": []}
    return {**task, "predictions": [], "data": {"image": image}, "meta": {}, "project": 3}


def test_percent_become_pixels_of_the_original_image(tmp_path):
    (tmp_path / "export.json").write_text(json.dumps([_task([_region(_rectangle(10, 20, 50, 40))])]))
    (image,) = read_label_studio(tmp_path / "export.json")
    assert image.name == "data/upload/3/1a2b3c4d-ISIC_0024306.jpg"
    assert (image.unit, image.width, image.height, image.labels) == ("px", 600, 450, ("lesion",))
    np.testing.assert_allclose(image.boxes, [[60, 90, 360, 270]])


def test_a_rectangle_turns_clockwise_about_its_top_left_corner_in_pixels():
    # 120 x 45 px at (300, 225), turned by 90 degrees to the right: to the left of the corner, and below it.
    (image,) = parse_label_studio([_task([_region(_rectangle(50, 50, 20, 10, rotation=90))])], "f")
    np.testing.assert_allclose(image.boxes, [[255, 225, 300, 345]], atol=1e-9)
    # 270 degrees, as the tool writes a turn to the left: to the right of the corner, and above it.
    (image,) = parse_label_studio([_task([_region(_rectangle(50, 50, 20, 10, rotation=270))])], "f")
    np.testing.assert_allclose(image.boxes, [[300, 105, 345, 225]], atol=1e-9)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ({"points": [[10, 10], [20, 30], [15, 40]], "closed": True, "polygonlabels": ["lesion"]}, "polygonlabels",
         [60, 45, 120, 180]),
        ({"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "rotation": 0, "ellipselabels": ["lesion"]}, "ellipselabels",
         [240, 135, 360, 315]),
        ({"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "rotation": 90, "ellipselabels": ["lesion"]},
         "ellipselabels", [210, 165, 390, 285]),
    ],
)  # fmt: skip
def test_other_areas_become_their_tight_rectangle(value, kind, expected):
    (image,) = parse_label_studio([_task([_region(value, kind)])], "f")
    np.testing.assert_allclose(image.boxes, [expected], atol=1e-9)
    assert image.labels == ("lesion",)


def test_what_has_no_area_is_listed():
    brush = _region({"format": "rle", "rle": [0, 1, 2], "brushlabels": ["lesion"]}, "brushlabels")
    point = _region({"x": 1, "y": 2, "width": 0.3, "keypointlabels": ["mole"]}, "keypointlabels")
    choice = {"value": {"choices": ["good"]}, "from_name": "quality", "to_name": "image", "type": "choices"}
    relation = {"from_id": "a", "to_id": "b", "type": "relation", "direction": "right"}
    (image,) = parse_label_studio([_task([brush, point, choice, relation])], "f")
    assert image.boxes.shape == (0, 4)
    assert image.ignored == ("brushlabels lesion", "keypointlabels mole")


def test_who_looked_counts():
    nobody = {**_task([]), "annotations": []}
    canceled = _task([_region(_rectangle(1, 1, 1, 1))], was_cancelled=True)
    looked = _task([])
    (image,) = parse_label_studio([nobody, canceled, looked], "f")
    assert image.boxes.shape == (0, 4)


def test_the_ground_truth_among_several_annotations():
    task = _task([_region(_rectangle(1, 1, 1, 1))])
    task["annotations"].append({"result": [_region(_rectangle(10, 20, 50, 40))], "ground_truth": True})
    (image,) = parse_label_studio([task], "f")
    np.testing.assert_allclose(image.boxes, [[60, 90, 360, 270]])
    del task["annotations"][1]["ground_truth"]
    with pytest.raises(InputError, match="f: task 51406 has 2 annotations; mark one as the ground truth"):
        parse_label_studio([task], "f")


def test_json_min():
    region = {**_rectangle(10, 20, 50, 40), "original_width": 600, "original_height": 450}
    task = {
        "image": "/data/local-files/?d=skin%5Ca%20b.jpg",
        "id": 1,
        "label": [region],
        "annotator": 1,
        "lead_time": 3.1,
    }
    (image,) = parse_label_studio([task], "f")
    assert image.name == "skin\\a b.jpg"
    np.testing.assert_allclose(image.boxes, [[60, 90, 360, 270]])


def test_several_labels_are_several_boxes_and_none_is_one():
    regions = [_region(_rectangle(0, 0, 50, 50, labels=("a", "b"))), _region(_rectangle(0, 0, 10, 10, labels=()))]
    (image,) = parse_label_studio([_task(regions)], "f")
    assert image.labels == ("a", "b", "")
    np.testing.assert_allclose(image.boxes, [[0, 0, 300, 225]] * 2 + [[0, 0, 60, 45]])


def test_without_sizes_positions_are_fractions():
    region = _region(_rectangle(10, 20, 50, 40))
    del region["original_width"], region["original_height"]
    (image,) = parse_label_studio([_task([region])], "f")
    assert (image.unit, image.width) == ("fraction", None)
    np.testing.assert_allclose(image.boxes, [[0.1, 0.2, 0.6, 0.6]])
    region["value"]["rotation"] = 5
    with pytest.raises(InputError, match="region 1 is rotated, which needs original_width and original_height"):
        refuse_bad(parse_label_studio([_task([region])], "f"))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("/data/upload/1/9f8e7d6c-a%20b.jpg", "data/upload/1/9f8e7d6c-a b.jpg"),
        ("/data/local-files/?d=skin/a.jpg", "skin/a.jpg"),
        ("http://localhost:8080/data/local-files/?d=skin/a.jpg", "skin/a.jpg"),
        ("gs://bucket/skin/a.jpg", "skin/a.jpg"),
        ("C:\\skin\\100%.jpg", "C:\\skin\\100%.jpg"),
        ("/data/images/100%25.jpg", "/data/images/100%25.jpg"),
    ],
)
def test_addresses(url, name):
    assert name_of_url(url) == name


def test_the_image_among_other_data():
    task = _task([])
    task["data"] = {"patient": "p1", "photo": "s3://b/a.jpg"}
    assert parse_label_studio([task], "f")[0].name == "a.jpg"
    task["data"]["second"] = "s3://b/c.jpg"
    with pytest.raises(InputError, match="must have one image; found 2 among .*'patient', 'photo', 'second'"):
        parse_label_studio([task], "f")


def _changed(**changes):
    task = copy.deepcopy(_task([_region(_rectangle(10, 20, 50, 40))]))
    region = task["annotations"][0]["result"][0]
    region["value"].update(changes.pop("value", {}))
    region.update(changes)
    return [task]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"images": []}, "f is not a Label Studio export: it must be a list of tasks"),
        ([1], "f is not a Label Studio export"),
        ([{"id": 3, "data": "a.jpg"}], "f: task 3: data must be an object"),
        ([{"id": 3, "data": {}, "annotations": [{"result": []}]}], "task 3 must have one image; found 0"),
        ([_task([], image="data:image/png;base64,AAAA")], "holds its image itself"),
        ([{**_task([]), "annotations": 5}], "annotations must be a list of objects"),
        (_changed(image_rotation=90), "task 51406, region 1: the image was turned in Label Studio"),
        (_changed(value={"x": "left"}), "region 1: x must be a finite number. Received 'left'"),
        (_changed(value={"width": -5}), "has no area"),
        (_changed(value={"rotation": "x"}), "rotation must be a finite number"),
        (_changed(value={"rectanglelabels": [3]}), "a label must be a text"),
        (_changed(original_width=-600), "the image's width must be a number of pixels"),
        ([_task([_region(_rectangle(1, 1, 1, 1)), _region(_rectangle(1, 1, 1, 1), original_width=5)])],
         "its regions state different sizes"),
        ([{"image": "http://[bad/a.jpg", "label": [{"x": 1, "y": 2, "width": 3, "height": 4}]}], "no address"),
    ],
)  # fmt: skip
def test_bad_files_are_refused(document, message):
    with pytest.raises(InputError, match=message):
        refuse_bad(parse_label_studio(document, "f"))
