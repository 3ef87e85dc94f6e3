import dataclasses
import os

import numpy as np
import pytest
from PIL import Image

from care_tf.boxes.judging._judged_images import judged_images
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError

_NO_BOX = np.zeros((0, 4), np.float32)
_TRUE = [[10, 5, 20, 15]]


def _boxes(*lists):
    return tuple(np.array(boxes, np.float32).reshape(-1, 4) for boxes in lists)


@pytest.fixture
def truth(tmp_path):
    """Four images of 40 x 30 px: two of A, one of B, and one of B without a box."""
    paths = [str(tmp_path / f"{name}.png") for name in "abcd"]
    for path in paths:
        Image.new("RGB", (40, 30)).save(path)
    return Manifest(
        image_paths=tuple(paths),
        labels=np.array([0, 0, 1, 1]),
        class_names=("A", "B"),
        boxes=_boxes(_TRUE, _TRUE, [[0, 0, 40, 30]], []),
        groups=("g", "", "h", "h"),
        folds=("1", "2", "2", "1"),
        source=str(tmp_path / "truth.csv"),
    )


def _made(truth, *lists, name="made", sources=None):
    return dataclasses.replace(
        truth,
        boxes=_boxes(*lists),
        box_sources=tuple(sources) if sources else (),
        source=str(os.path.join(os.path.dirname(truth.source), f"{name}.csv")),
    )


# oracle


def test_every_image_with_truth_is_judged_once(truth):
    made = _made(truth, _TRUE, [[10, 5, 15, 15]], [], [[0, 0, 1, 1]])
    images, not_judged = judged_images(truth, [made])
    assert list(images) == ["made"]
    assert [(i.iou, i.best_box_iou, i.coverage) for i in images["made"]] == [(1, 1, 1), (0.5, 0.5, 0.5), (0, 0, 0)]
    assert [(i.class_name, i.fold, i.size, len(i.made)) for i in images["made"]] == [
        ("A", "1", (40, 30), 1),
        ("A", "2", (40, 30), 1),
        ("B", "2", (40, 30), 0),
    ]
    assert [i.mask_coverage for i in images["made"]] == [None] * 3
    assert not_judged == ()


def test_an_image_without_a_group_is_a_group_of_its_own(truth):
    groups = [i.group for i in judged_images(truth, [_made(truth, _TRUE, _TRUE, _TRUE, [])])[0]["made"]]
    assert groups[0] == "g"
    assert groups[2] == "h"
    assert groups[1] not in ("", "g", "h")


def test_a_true_mask_of_another_size(truth, tmp_path):
    mask = np.zeros((90, 120), np.uint8)  # three times the image
    mask[15:45, 30:60] = 255
    mask[15:30, 45:60] = 0  # its upper right quarter
    Image.fromarray(mask).save(tmp_path / "mask.png")
    masked = dataclasses.replace(truth, boxes=(_NO_BOX,) * 4, mask_paths=(str(tmp_path / "mask.png"), "", "", ""))
    made = _made(truth, [[10, 5, 20, 10]], [], [], [])
    [image] = judged_images(masked, [made])[0]["made"]
    assert image.true.tolist() == _TRUE
    assert (image.iou, image.coverage) == (0.5, 0.5)
    assert image.mask_coverage == pytest.approx(1 / 3)


def test_a_made_mask_counts_as_the_box_around_it(truth, tmp_path):
    mask = np.zeros((60, 80), np.uint8)
    mask[10, 20] = mask[29, 39] = 255
    Image.fromarray(mask).save(tmp_path / "made_mask.png")
    made = dataclasses.replace(
        _made(truth, [], _TRUE, _TRUE, []), mask_paths=(str(tmp_path / "made_mask.png"), "", "", "")
    )
    assert judged_images(truth, [made])[0]["made"][0].made.tolist() == _TRUE


# identities


def test_images_are_matched_by_file_in_any_order_and_spelling(truth, tmp_path):
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    made = _made(truth, _TRUE, [[0, 0, 5, 5]], [[0, 0, 40, 15]], [])
    turned = made.subset([2, 3, 0, 1])
    turned = dataclasses.replace(
        turned, image_paths=tuple(str(tmp_path / "elsewhere" / os.path.basename(p)) for p in turned.image_paths)
    )
    straight, other = (judged_images(truth, [m])[0]["made"] for m in (made, turned))
    assert [i.iou for i in straight] == [i.iou for i in other] == [1, 0, 0.5]


def test_classes_and_folds_choose_among_the_truth(truth):
    made = _made(truth, _TRUE, _TRUE, _TRUE, _TRUE)
    images, not_judged = judged_images(truth, [made], classes=["B"])
    assert [os.path.basename(i.path) for i in images["made"]] == ["c.png"]
    assert not_judged == ("1 images of class B without a true box or mask in truth.csv",)
    assert len(judged_images(truth, [made], folds=[2])[0]["made"]) == 2


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        ((["bms", "", "bms", ""], ["dsr"] * 4), ["bms", "dsr"]),
        ((["bms", "dsr", "bms", ""], None), ["first", "second"]),
        ((["bms"] * 4, ["bms"] * 4), ["bms", "second"]),
        ((["bms", "bms", "", "by hand"], None), ["bms", "second"]),  # the fourth image has no truth
    ],
)
def test_a_method_is_called_by_its_box_source_or_file(truth, sources, names):
    lists = [_TRUE, _TRUE, _TRUE, _TRUE]
    first, second = (
        _made(truth, *lists, name=name, sources=own) for name, own in zip(("first", "second"), sources, strict=True)
    )
    assert list(judged_images(truth, [first, second])[0]) == names


def test_equal_names_are_numbered(truth):
    made = _made(truth, _TRUE, _TRUE, _TRUE, [])
    assert list(judged_images(truth, [made, made, made])[0]) == ["made", "made (2)", "made (3)"]


# edges


def test_images_that_a_file_lacks_are_left_out_on_request_only(truth):
    made = _made(truth, _TRUE, _TRUE, _TRUE, [])
    with pytest.raises(InputError, match=r"few.csv lacks 1 of the 3 images with true boxes: b.png"):
        judged_images(truth, [made, dataclasses.replace(made.subset([0, 2, 3]), source="few.csv")])
    few = dataclasses.replace(made.subset([0, 2, 3]), source="few.csv")
    images, not_judged = judged_images(truth, [made, few], only_shared=True)
    assert [[os.path.basename(i.path) for i in own] for own in images.values()] == [["a.png", "c.png"]] * 2
    assert not_judged == ("1 images that few.csv lacks: b.png",)


def test_images_that_the_truth_does_not_have_are_counted(truth):
    made = _made(truth, _TRUE, _TRUE, _TRUE, [])
    known = dataclasses.replace(truth.subset([0, 1]), source="known.csv")
    images, not_judged = judged_images(known, [made])
    assert len(images["made"]) == 2
    assert not_judged == ("2 images of made.csv that the truth does not have",)


# errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": ["C"]}, "has no class C; it has A, B"),
        ({"classes": []}, "has no class of an empty list"),
        ({"folds": [7]}, "has no fold 7"),
        ({"classes": ["B"], "folds": [1]}, "No image of class B in .*truth.csv has a true box or mask"),
    ],
)
def test_a_choice_that_leaves_nothing_is_refused(truth, arguments, message):
    with pytest.raises(InputError, match=message):
        judged_images(truth, [_made(truth, _TRUE, _TRUE, _TRUE, [])], **arguments)


def test_files_about_other_images_are_refused(truth):
    made = _made(truth, _TRUE, _TRUE, _TRUE, [])
    others = dataclasses.replace(made, image_paths=tuple(f"/other/{i}.png" for i in range(4)))
    with pytest.raises(InputError, match="images are matched by their path"):
        judged_images(truth, [others], only_shared=True)


def test_an_empty_true_mask_is_refused(truth, tmp_path):
    Image.new("L", (40, 30)).save(tmp_path / "empty.png")
    masked = dataclasses.replace(truth, boxes=(), mask_paths=(str(tmp_path / "empty.png"), "", "", ""))
    with pytest.raises(InputError, match="empty.png marks nothing"):
        judged_images(masked, [_made(truth, _TRUE, [], [], [])])
