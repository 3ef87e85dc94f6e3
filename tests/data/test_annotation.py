import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from care_tf.box_geometry import validate_boxes
from care_tf.boxes.formats import AnnotatedImage
from care_tf.data._annotation import annotation_problems
from care_tf.data.manifest import Manifest, read_manifest
from care_tf.errors import InputError

_EDGES = st.sampled_from([-1.0, 0.0, 1.0, 2.0, 3.0, np.nan, np.inf])
_IMAGES = st.lists(st.lists(st.tuples(_EDGES, _EDGES, _EDGES, _EDGES), max_size=3), max_size=4)


def _is_good(box, width, height):
    """The rule's words, one box at a time."""
    x0, y0, x1, y1 = box
    return all(map(np.isfinite, box)) and 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height


# oracle


@given(_IMAGES, st.sampled_from([2.0, 3.0, np.inf]))
def test_every_bad_box_of_every_row_is_found(images, width):
    arrays = [np.array(boxes, np.float32).reshape(-1, 4) for boxes in images]
    expected = {
        row: sum(not _is_good(box, width, 2) for box in boxes)
        for row, boxes in enumerate(images)
        if not all(_is_good(box, width, 2) for box in boxes)
    }
    found = annotation_problems(arrays, [""] * len(images), width, np.full(len(images), 2))
    assert {row: len(problems) for row, problems in found.items()} == expected


def test_a_wrong_shape_is_reported_beside_other_problems():
    box = np.array([[0, 0, 1, 1]])
    both = "both boxes and a mask are given; give one of them"
    shape = "boxes must be (k,4). Received the shape (1, 3)"
    assert annotation_problems([box, box[:, :3], box[:, :3]], ["m.png", "", "m.png"]) == {
        0: [both],
        1: [shape],
        2: [both, shape],
    }


def test_fractions_of_the_image_are_no_boxes():
    fractions, none, pixels = np.array([[0.1, 0.2, 1.0, 0.6]]), np.zeros((0, 4)), np.array([[0, 0, 1, 1]])
    ((row, (text,)),) = annotation_problems([none, fractions, fractions], [""] * 3).items()
    assert row == 1 and "all boxes lie within one pixel, as fractions of the image do" in text
    assert annotation_problems([pixels, none], ["", ""]) == {}
    assert annotation_problems([fractions, pixels * 9], ["", ""]) == {}


# where all users meet


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([5, 2, 1, 4], r"box \[5, 2, 1, 4\] has no area: it is inverted or empty"),
        ([1, 4, 5, 4], "has no area"),
        ([1, 2, np.nan, 4], "holds NaN or infinity"),
        ([1, 2, np.inf, 4], "holds NaN or infinity"),
    ],
)
def test_a_bad_box_is_refused_wherever_it_enters(tmp_path, box, message):
    bad = np.array([[0, 0, 1, 1], box], np.float32)
    good = Manifest(("a.png", "b.png"), [0, 0], ("x",), (bad[:1], bad[:1]))
    with pytest.raises(InputError, match=f"manifest has 1 problem: image b.png: .*{message}"):
        dataclasses.replace(good, boxes=(bad[:1], bad))
    (tmp_path / "m.csv").write_text(f'image,label,boxes\na.png,x,\nb.png,x,"{json.dumps([box])}"\n')
    with pytest.raises(InputError, match=f"m.csv has 1 problem: line 3: b.png: .*{message}"):
        read_manifest(tmp_path / "m.csv", check_images=False)
    with pytest.raises(InputError, match=message):
        validate_boxes(bad, 10, 10, "b.png")
    with pytest.raises(InputError, match=message):
        AnnotatedImage("b.png", bad, ("", ""))


def test_a_manifest_refuses_what_its_file_would(tmp_path):
    box = np.array([[0, 0, 1, 1]], np.float32)
    cases = [
        ({"boxes": (box, box), "mask_paths": ("", "m.png")}, "image b.png: both boxes and a mask are given"),
        ({"boxes": (box[:0], box - 1)}, "image b.png: .* leaves the image"),
        ({"boxes": (box[:0], box[:, :3])}, r"image b.png: boxes must be \(k,4\). Received the shape \(1, 3\)"),
        ({"boxes": (box[:0], box[0])}, r"image b.png: boxes must be \(k,4\). Received the shape \(4,\)"),
        ({"image_paths": ("a.png", "a.png")}, "image a.png is listed 2 times"),
        ({"class_names": ("x", "x")}, "list of different names"),
    ]
    columns = {"image_paths": ("a.png", "b.png"), "labels": [0, 0], "class_names": ("x",)}
    for changed, message in cases:
        with pytest.raises(InputError, match=message):
            Manifest(**{**columns, **changed})
    assert len(Manifest(**columns, boxes=(box, box[:0]), mask_paths=("", "m.png"))) == 2


def test_up_to_twenty_images_are_listed():
    boxes = (np.array([[1, 0, 0, 1]], np.float32),) * 25
    with pytest.raises(InputError, match="m.csv has 25 problems: .*image 19.png.*; and 5 more.$") as caught:
        Manifest(tuple(f"{i}.png" for i in range(25)), [0] * 25, ("x",), boxes, source="m.csv")
    assert "20.png" not in str(caught.value)
