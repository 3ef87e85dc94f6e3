"""CreateML's list of images, whose coordinates are centers; written after a public example."""

import json

import numpy as np
import pytest

from care_tf.boxes.formats import detect_format, read_annotations
from care_tf.errors import InputError

ENTRY = {
    "image": "a.jpg",
    "annotations": [{"label": "DF", "coordinates": {"x": 30, "y": 30, "width": 20, "height": 10}}],
}


def written(path, document):
    path.write_text(json.dumps(document))
    return path


def test_coordinates_are_centers(tmp_path):
    path = written(tmp_path / "boxes.json", [ENTRY, {"image": "b.jpg", "annotations": []}])
    assert detect_format(path) == "createml"
    first, second = read_annotations(path)
    np.testing.assert_array_equal(first.boxes, [[20, 25, 40, 35]])
    assert (first.name, first.labels, second.name, len(second.boxes)) == ("a.jpg", ("DF",), "b.jpg", 0)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([ENTRY, {"annotations": []}], "fits no known annotation format"),
        ([{"name": "a.jpg", "boxes": []}], "fits no known annotation format"),
        ([{**ENTRY, "annotations": [{"label": "DF"}]}], "image a.jpg, annotation 1 needs coordinates"),
        ([{**ENTRY, "annotations": [{"label": "DF", "coordinates": {"x": 1}}]}], "y must be a finite number"),
    ],
)
def test_what_is_none_is_refused(tmp_path, document, message):
    with pytest.raises(InputError, match=message):
        read_annotations(written(tmp_path / "boxes.json", document))
