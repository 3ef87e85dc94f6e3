import json
import warnings

import numpy as np
import pytest
from PIL import Image

import care_tf
from care_tf.boxes import manifest_from_folders
from care_tf.errors import InputError


@pytest.fixture
def folders(tmp_path):
    """Two classes of two 20 x 10 px images; coco.json has boxes of three images, one of which is not there."""
    for name in ("a/1.png", "a/2.png", "b/3.png", "b/4.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((10, 20, 3), 90, np.uint8)).save(tmp_path / "images" / name)

    def write_coco(name, boxes):
        content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}]}
        for i, (file_name, box, label) in enumerate(boxes, start=1):
            content["images"].append({"id": i, "file_name": file_name, "width": 20, "height": 10})
            x0, y0, x1, y1 = box
            annotation = {"id": i, "image_id": i, "category_id": label, "bbox": [x0, y0, x1 - x0, y1 - y0]}
            content["annotations"].append(annotation)
        (tmp_path / name).write_text(json.dumps(content))

    write_coco("first.json", [("a/1.png", (1, 2, 5, 6), 1), ("3.png", (0, 0, 9, 9), 2)])
    write_coco("second.json", [("b/4.png", (3, 3, 7, 8), 1)])
    write_coco("other.json", [("a/1.png", (1, 2, 5, 6), 1), ("9.png", (0, 0, 9, 9), 1)])
    return tmp_path


def test_boxes_come_from_annotation_files(folders):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        manifest = manifest_from_folders(folders / "images", [folders / "first.json", folders / "second.json"])
    assert [boxes.tolist() for boxes in manifest.boxes] == [[[1, 2, 5, 6]], [], [[0, 0, 9, 9]], [[3, 3, 7, 8]]]
    assert manifest.box_sources == ("imported:coco", "", "imported:coco", "imported:coco")
    assert care_tf.manifest_from_folders is manifest_from_folders


def test_labels_choose_and_no_file_gives_no_boxes(folders):
    chosen = manifest_from_folders(folders / "images", str(folders / "first.json"), labels=["y"])
    assert chosen.has_boxes.tolist() == [False, False, True, False]
    assert not manifest_from_folders(folders / "images").has_boxes.any()


def test_what_did_not_come_in_is_told(folders):
    with pytest.warns(
        UserWarning, match="Not all boxes came in(.|\n)*1 annotated images are not in the manifest: 9.png"
    ):
        assert manifest_from_folders(folders / "images", folders / "other.json").has_boxes.sum() == 1
    with pytest.raises(InputError, match="There is no file"):
        manifest_from_folders(folders / "images", folders / "none.json")
