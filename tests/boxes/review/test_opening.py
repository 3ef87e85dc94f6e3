import csv
import dataclasses
import os

import numpy as np
import pytest

from care_tf.boxes.review import opening
from care_tf.boxes.review.opening import open_review
from care_tf.data.manifest import read_manifest, write_manifest
from care_tf.errors import InputError
from care_tf.images.header import read_image_header


def _names(session):
    return "".join(item["name"][0] for item in session.items())


def _decisions(session):
    return {item["name"][0]: item["decision"] for item in session.items() if item["decision"]}


def _number(session, name):
    return next(item["number"] for item in session.items() if item["name"] == f"{name}.png")


def _changed(path, **columns):
    write_manifest(dataclasses.replace(read_manifest(path), **columns), path)


def test_the_most_doubtful_come_first(manifest_path):
    assert _names(open_review(manifest_path, classes=["DF"])) == "cba"
    assert _names(open_review(manifest_path, classes=["DF"], order="manifest")) == "abc"
    assert _names(open_review(manifest_path, classes=["NV", "DF"])) == "cdba"


def test_details_beside_the_manifest_come_before_geometry(manifest_path):
    rows = [["image", "status", "num_boxes", "doubt", "message"], ["a.png", "boxes", "1", "0.9", "two maps disagree"]]
    with open(manifest_path.with_name("manifest.details.csv"), "w", newline="") as file:
        csv.writer(file).writerows(rows)
    session = open_review(manifest_path, classes=["DF"])
    assert _names(session) == "cab"
    assert [item["reason"] for item in session.items()] == ["no box", "two maps disagree", "2 boxes"]


def test_by_default_the_classes_with_boxes_are_reviewed(manifest_path):
    assert sorted(_names(open_review(manifest_path))) == ["a", "b", "c", "e"]


def test_images_with_a_mask_are_left_out(manifest_path):
    os.link(manifest_path.parent / "d.png", manifest_path.parent / "mask.png")
    masks = ("", "", str(manifest_path.parent / "mask.png"), "", "")
    _changed(manifest_path, mask_paths=masks)
    session = open_review(manifest_path, classes=["DF"])
    assert (_names(session), session.num_masks) == ("ba", 1)
    session.decide(_number(session, "a"), "reject")
    assert read_manifest(session.output).mask_paths == masks


def test_a_review_goes_on_where_it_stopped(manifest_path):
    session = open_review(manifest_path, classes=["DF"])
    session.decide(_number(session, "a"), "accept", [[50, 40, 110, 100]])
    session.decide(_number(session, "b"), "reject")
    session.decide(_number(session, "c"), "accept", [[1, 2, 30, 40]])
    again = open_review(manifest_path, classes=["DF"])
    assert _decisions(again) == {"a": "accepted", "b": "rejected", "c": "corrected"}
    assert _names(again) == _names(session)
    items = {item["name"][0]: item for item in again.items()}
    assert items["b"]["boxes"] == [] and items["b"]["proposed"] == [[10, 10, 60, 60], [100, 50, 160, 120]]
    # What the rejection removed can be brought back, as it was.
    again.decide(_number(again, "b"), "accept", items["b"]["proposed"])
    assert read_manifest(again.output).box_sources == ("reviewed:dsr", "reviewed:dsr", "reviewed:corrected", "", "dsr")


def test_boxes_made_anew_replace_those_that_nobody_reviewed(manifest_path):
    session = open_review(manifest_path)
    session.decide(_number(session, "a"), "accept", [[51, 41, 110, 100]])
    other = tuple(np.array([[1, 1, 90, 90]], np.float32) for _ in range(5))
    _changed(manifest_path, boxes=other, box_sources=("bms",) * 5)
    again = open_review(manifest_path)
    assert [item["boxes"] for item in sorted(again.items(), key=lambda item: item["number"])] == [
        [[51, 41, 110, 100]],
        *[[[1, 1, 90, 90]]] * 4,
    ]
    again.decide(_number(again, "b"), "accept", [[1, 1, 90, 90]])
    assert read_manifest(again.output).box_sources == ("reviewed:corrected", "reviewed:bms", "bms", "bms", "bms")


def test_what_a_review_wrote_can_be_reviewed_in_turn(manifest_path, tmp_path):
    session = open_review(manifest_path)
    session.decide(_number(session, "a"), "accept", [[50, 40, 110, 100]])
    second = open_review(session.output, tmp_path / "second.csv")
    assert _decisions(second) == {"a": "accepted"}
    second.decide(_number(second, "a"), "accept", [[50, 40, 110, 100]])
    assert read_manifest(second.output).box_sources[0] == "reviewed:dsr"


def test_a_decision_taken_while_another_review_opens_is_not_lost(manifest_path, monkeypatch):
    first = open_review(manifest_path)
    first.decide(_number(first, "a"), "reject")

    def slow_header(path):
        first.decide(_number(first, "e"), "reject")
        return read_image_header(path)

    monkeypatch.setattr(opening, "read_image_header", slow_header)
    with pytest.raises(InputError, match=r"manifest.reviewed.csv changed while it was read; end the other review"):
        open_review(manifest_path)
    monkeypatch.undo()
    assert _decisions(open_review(manifest_path)) == {"a": "rejected", "e": "rejected"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": ["DF", "XY"]}, "must be some of DF, NV, VASC. Received DF, XY"),
        ({"classes": []}, "must be some of DF, NV, VASC"),
        ({"order": "random"}, "must be one of doubt, manifest. Received 'random'"),
    ],
)
def test_bad_arguments_are_refused(manifest_path, arguments, message):
    with pytest.raises(InputError, match=message):
        open_review(manifest_path, **arguments)


def test_the_manifest_is_no_output(manifest_path):
    with pytest.raises(InputError, match="is the manifest itself, which a review never changes"):
        open_review(manifest_path, manifest_path.parent / ".." / "data" / "manifest.csv")


def test_an_output_of_something_else_is_not_overwritten(manifest_path, tmp_path):
    other = tmp_path / "other.csv"
    write_manifest(read_manifest(manifest_path), other)
    with pytest.raises(InputError, match="holds no reviewed image, so it is no output of a review"):
        open_review(manifest_path, other)


def test_decisions_about_images_that_are_gone_are_not_dropped(manifest_path):
    session = open_review(manifest_path)
    session.decide(_number(session, "e"), "reject")
    write_manifest(read_manifest(manifest_path).subset([0, 1, 2, 3]), manifest_path)
    with pytest.raises(InputError, match="decisions about 1 images that .* would be lost, such as e.png"):
        open_review(manifest_path)


def test_nothing_to_review_is_said(manifest_path):
    whole = read_manifest(manifest_path)
    write_manifest(whole.without_boxes(), manifest_path)
    with pytest.raises(InputError, match=r"No image of .* has a box; .* name the classes .*\(of DF, NV, VASC\)"):
        open_review(manifest_path)
    masked = dataclasses.replace(whole.without_boxes(), mask_paths=whole.image_paths)
    write_manifest(masked, manifest_path)
    with pytest.raises(InputError, match="have a mask; a review is of boxes only"):
        open_review(manifest_path, classes=["DF"])
