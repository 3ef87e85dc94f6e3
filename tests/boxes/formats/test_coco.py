import copy
import json

import numpy as np
import pytest

from care_tf.boxes.formats import read_annotations
from care_tf.boxes.formats._coco import parse_coco, read_coco
from care_tf.boxes.formats.annotated_image import refuse_bad
from care_tf.errors import InputError


# As CVAT writes it: a crowd with run lengths, attributes, a rotated box, an image without annotations.
def _annotation(number, category, bbox, segmentation=(), **attributes):
    crowd = {"segmentation": segmentation or [], "area": bbox[2] * bbox[3], "iscrowd": int(bool(segmentation))}
    own = {"id": number, "image_id": 1, "category_id": category, "bbox": bbox}
    return {**own, **crowd, "attributes": {"occluded": False, **attributes}}


_CVAT = {
    "licenses": [{"name": "", "id": 0, "url": ""}],
    "info": {"contributor": "", "date_created": "", "description": "", "url": "", "version": "", "year": ""},
    "categories": [{"id": 1, "name": "lesion", "supercategory": ""}, {"id": 2, "name": "ruler", "supercategory": ""}],
    "images": [
        {"id": 1, "width": 600, "height": 450, "file_name": "skin/ISIC_0024306.jpg", "license": 0, "flickr_url": ""},
        {"id": 2, "width": 600, "height": 450, "file_name": "skin/ISIC_0024307.jpg", "license": 0, "flickr_url": ""},
    ],
    "annotations": [
        _annotation(1, 1, [100.5, 50.25, 125.0, 75.0], rotation=0.0),
        _annotation(2, 2, [2.0, 100.0, 1.0, 5.0], {"counts": [1000, 5, 269000], "size": [450, 600]}),
        _annotation(3, 1, [200.0, 200.0, 40.0, 20.0], rotation=90.0),
    ],
}


def test_a_file_of_cvat(tmp_path):
    (tmp_path / "instances_default.json").write_text(json.dumps(_CVAT))
    first, second = read_coco(tmp_path / "instances_default.json")
    assert (first.name, first.width, first.height, first.unit) == ("skin/ISIC_0024306.jpg", 600, 450, "px")
    expected = [[100.5, 50.25, 225.5, 125.25], [2, 100, 3, 105], [210, 190, 230, 230]]
    np.testing.assert_allclose(first.boxes, expected, atol=1e-9)
    assert first.labels == ("lesion", "ruler", "lesion")
    assert second.boxes.shape == (0, 4) and second.labels == ()


def _with(**changes):
    """The file with one annotation, changed."""
    document = copy.deepcopy(_CVAT)
    document["annotations"] = [{**document["annotations"][0], **changes}]
    return document


@pytest.mark.parametrize("segmentation", [[[10, 20, 30, 25, 15, 60], [5, 30, 12, 31, 8, 33]], [5, 20, 30, 25, 15, 60]])
def test_polygons_become_their_tight_rectangle(segmentation):
    document = _with(bbox=[], segmentation=segmentation)
    assert parse_coco(document, "f")[0].boxes.tolist() == [[5, 20, 30, 60]]


def test_an_annotation_without_a_category_has_no_label():
    assert parse_coco(_with(category_id=None), "f")[0].labels == ("",)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "f is not a COCO file: a list of detections lacks the images' names"),
        ({"shapes": []}, "f is not a COCO file: it has no images"),
        ({"images": {}}, "f: images must be a list of objects"),
        ({"images": [{"id": 1}]}, "f: an image's file_name must be a text"),
        ({"images": [{"id": None, "file_name": "a"}]}, "an image: id must be a whole number. Received None"),
        ({"images": [{"id": 1, "file_name": "a"}] * 2}, "f has two images with the id 1"),
        ({"images": [{"id": 1, "file_name": "a", "width": -3, "height": 3}]}, "image a: the image's width must be"),
        (_with(image_id=7), "f: annotation 1 belongs to image 7, which the file does not list"),
        (_with(image_id=7, id="a"), "f: annotation 'a' belongs"),
        ({"images": [], "annotations": [{"image_id": 7}]}, "f: annotation at 0 belongs to image 7"),
        (_with(category_id=7), "f: annotation 1 has the category 7, which the file does not list"),
        (_with(bbox=[1, 2, 3]), "annotation 1: bbox must be a list of 4 numbers"),
        (_with(bbox=[1, 2, 3, 4, 30]), "bbox has five numbers"),
        (_with(bbox=[1, 2, None, 4]), "annotation 1: bbox must be a finite number. Received None"),
        (_with(bbox=[10, 10, -5, 5]), "image skin/ISIC_0024306.jpg: box .10, 10, 5, 15. has no area"),
        (_with(bbox=[10, 10, 0, 5]), "has no area"),
        (_with(bbox=None, segmentation={"counts": "abc", "size": [2, 2]}), "a run-length mask but no bbox"),
        (_with(bbox=None, segmentation=[]), "neither a bbox nor a segmentation"),
        (_with(bbox=None, segmentation=[[1, 2, 3]]), "a polygon must be x,y of at least three points"),
        (_with(bbox=None, segmentation=[[1, 2, 3, 4, 5, "x"]]), "segmentation must be a finite number"),
        (_with(attributes={"rotation": "steep"}), "attributes.rotation must be a finite number"),
    ],
)
def test_bad_files_are_refused(document, message):
    with pytest.raises(InputError, match=message):
        refuse_bad(parse_coco(document, "f"))


class TestBadEntries:
    """What public files hold besides boxes; each is judged alone, and all are reported at once."""

    bad = (
        {"bbox": [10, 10, 0, 20]},
        {"bbox": [10, 10, 0, 0], "keypoints": [10, 10, 2], "num_keypoints": 1},
        {"bbox": [], "segmentation": []},
        {"bbox": [30, 30, -10, 20]},
        {"bbox": [1, 2, float("nan"), 4]},
        {"bbox": [1, 2, float("inf"), 4]},
        {"bbox": ["1", None, 3, 4]},
        {"bbox": [1, 2, 3, 4], "category_id": 9},
        {"bbox": [1, 2, 3, 4], "image_id": 9},
        {"bbox": [1, 2, 3, 4], "image_id": None},
    )

    @pytest.fixture
    def path(self, tmp_path):
        document = copy.deepcopy(_CVAT)
        document["annotations"] += [{**_annotation(10 + i, 1, [1, 1, 2, 2]), **bad} for i, bad in enumerate(self.bad)]
        document["annotations"][0]["score"] = float("nan")  # a field that nobody reads
        (tmp_path / "coco.json").write_text(json.dumps(document))
        return tmp_path / "coco.json"

    def test_all_are_refused_in_one_message(self, path):
        with pytest.raises(InputError, match="Received 10 of 13 that are not: .*--bad drop") as caught:
            read_annotations(path)
        for number in range(10, 20):
            assert f"annotation {number}" in str(caught.value)

    def test_they_may_be_dropped(self, path):
        first, second, *strays = read_annotations(path, bad="drop")
        assert len(first.boxes) == 3 and len(first.bad) == 8
        assert (second.bad, len(second.boxes)) == ((), 0)
        assert [(stray.name, len(stray.boxes), len(stray.bad)) for stray in strays] == [
            ("(image_id 9)", 0, 1),
            ("(image_id None)", 0, 1),
        ]
        with pytest.raises(InputError, match="bad must be one of refuse, drop. Received 'keep'"):
            read_annotations(path, bad="keep")
