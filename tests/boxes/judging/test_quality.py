import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from care_tf.boxes.judging import quality_report
from care_tf.boxes.judging._box_overlap import CenteredBox
from care_tf.boxes.judging._judged_images import judged_images
from care_tf.boxes.judging.quality import BEST_CENTERED, WHOLE_IMAGE, judge_boxes, placed_images
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError


@pytest.fixture
def truth(tmp_path):
    """Twelve images of 40 x 30 px in classes A (8) and B (4), two of a group each."""
    rng = np.random.default_rng(0)
    paths, boxes = [], []
    for i in range(12):
        paths.append(str(tmp_path / f"{i:02d}.png"))
        Image.new("RGB", (40, 30)).save(paths[-1])
        corner = rng.integers(0, 12, 2)
        boxes.append(np.array([[*corner, *(corner + rng.integers(8, 18, 2))]], np.float32))
    return Manifest(
        image_paths=tuple(paths),
        labels=np.array([0] * 8 + [1] * 4),
        class_names=("A", "B"),
        boxes=tuple(boxes),
        groups=tuple(f"g{i // 2}" for i in range(12)),
        source=str(tmp_path / "truth.csv"),
    )


def _shifted(truth, amount, without=()):
    boxes = tuple(
        np.zeros((0, 4), np.float32) if i in without else truth.boxes[i] + np.float32([amount, 0, amount, 0])
        for i in range(len(truth))
    )
    return dataclasses.replace(truth, boxes=boxes, box_sources=(f"shift {amount}",) * len(truth))


def _method(quality, class_name, name):
    own = next(own for own in quality.classes if own.name == class_name)
    return next(method for method in own.methods if method.name == name)


# oracle


def test_figures_are_the_means_over_the_images_of_the_class(truth):
    quality = judge_boxes(truth, [_shifted(truth, 3, without=(1, 9))], num_resamples=20)
    ious = []
    for i in range(12):
        x0, _, x1, _ = truth.boxes[i][0].tolist()
        ious.append(0.0 if i in (1, 9) else (x1 - x0 - 3) / (x1 - x0 + 3))
    for name, rows in (("A", range(8)), ("B", range(8, 12)), ("all", range(12))):
        own = np.array([ious[i] for i in rows])
        has_box = np.array([i not in (1, 9) for i in rows])
        figures = _method(quality, name, "shift 3").figures
        assert figures["mean_iou"].value == pytest.approx(own.mean())
        assert figures["mean_iou_with_box"].value == pytest.approx(own[has_box].mean())
        assert figures["share_good"].value == pytest.approx((own >= 0.5).mean())
        assert figures["share_without_box"].value == pytest.approx(1 - has_box.mean())
        assert figures["mask_coverage"].value is None
        centered = _method(quality, name, BEST_CENTERED).figures["mean_iou"].value
        assert figures["iou_above_centered"].value == pytest.approx(own.mean() - centered)
    assert [(own.name, own.num_images, own.num_groups) for own in quality.classes] == [
        ("A", 8, 4),
        ("B", 4, 2),
        ("all", 12, 6),
    ]


def test_an_interval_by_drawing_groups_by_hand(truth):
    quality = judge_boxes(truth, [_shifted(truth, 3)], classes=["B"], num_resamples=4000)
    estimate = _method(quality, "B", "shift 3").figures["mean_iou"]
    ious = [image.iou for image in quality.images["shift 3"]]
    low, high = sorted([sum(ious[:2]) / 2, sum(ious[2:]) / 2])  # two groups: a quarter of the draws has one only
    assert (estimate.low, estimate.high) == pytest.approx((low, high))


def test_a_true_mask_is_covered_where_one_is_known(truth, tmp_path):
    mask = np.zeros((30, 40), np.uint8)
    mask[5:15, 10:20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    masked = dataclasses.replace(
        truth,
        boxes=(np.zeros((0, 4), np.float32), *truth.boxes[1:]),
        mask_paths=(str(tmp_path / "mask.png"), *truth.mask_paths[1:]),
    )
    half = dataclasses.replace(truth, boxes=(np.float32([[10, 5, 15, 15]]), *truth.boxes[1:]))
    figures = _method(judge_boxes(masked, [half], num_resamples=50), "A", "truth").figures
    assert figures["mask_coverage"].value == pytest.approx(0.5)
    assert (figures["mask_coverage"].low, figures["mask_coverage"].high) == pytest.approx((0.5, 0.5))


# identities


def test_the_truth_itself_is_perfect(truth):
    quality = judge_boxes(truth, [truth], num_resamples=10)
    for name in ("A", "B", "all"):
        figures = _method(quality, name, "truth").figures
        for key in ("mean_iou", "share_good", "coverage", "mean_iou_with_box"):
            assert (figures[key].value, figures[key].low, figures[key].high) == pytest.approx((1, 1, 1))
        assert figures["share_without_box"].value == 0


def test_references_stand_beside_every_class(truth):
    quality = judge_boxes(truth, [_shifted(truth, 1), _shifted(truth, 2)], num_resamples=10)
    for own in quality.classes:
        assert [method.name for method in own.methods] == ["shift 1", "shift 2", BEST_CENTERED, WHOLE_IMAGE]
        rows = slice(0, 8) if own.name == "A" else slice(8, 12) if own.name == "B" else slice(0, 12)
        areas = [(b[0, 2] - b[0, 0]) * (b[0, 3] - b[0, 1]) / 1200 for b in truth.boxes[rows]]
        assert own.methods[3].figures["mean_iou"].value == pytest.approx(np.mean(areas))
        assert own.methods[3].figures["coverage"].value == 1
        centered = own.methods[2]
        assert centered.figures["mean_iou"].value == pytest.approx(centered.box.mean_iou, rel=1e-5)
        assert centered.figures["mean_iou"].value >= own.methods[3].figures["mean_iou"].value
        assert centered.figures["iou_above_centered"].value == 0


def test_placed_images_have_the_box_in_the_middle(truth):
    images = judged_images(truth, [truth])[0]["truth"]
    placed = placed_images(images, CenteredBox(0.5, 1.0))
    assert placed[0].made.tolist() == [[10, 0, 30, 30]]
    assert [image.true.tolist() for image in placed] == [image.true.tolist() for image in images]


def test_one_class_has_no_row_for_all(truth):
    quality = judge_boxes(truth, [truth], classes=["B"], num_resamples=10)
    assert [own.name for own in quality.classes] == ["B"]
    assert [own.name for own in judge_boxes(truth, [truth], classes=["B", "A"], num_resamples=10).classes] == [
        "B",
        "A",
        "all",
    ]


def test_equal_seeds_give_equal_results_and_json_takes_them(truth):
    first, again, other = (
        judge_boxes(truth, [_shifted(truth, 2)], num_resamples=30, seed=seed).to_dict() for seed in (0, 0, 1)
    )
    assert json.dumps(first, allow_nan=False) == json.dumps(again)
    assert first["classes"] != other["classes"]
    assert set(first["classes"][0]["methods"][0]["figures"]) == set(quality_report._TITLES)


def test_the_summary_has_a_line_per_class_and_method(truth):
    lines = judge_boxes(truth, [_shifted(truth, 2)], num_resamples=10).summary().splitlines()
    assert len(lines) == 1 + 3 * 3
    assert len({len(line) for line in lines}) == 1
    assert lines[1].startswith("A          shift 2 ")


# edges


def test_a_method_without_any_box_scores_0(truth):
    quality = judge_boxes(truth, [_shifted(truth, 0, without=range(12))], num_resamples=10)
    figures = _method(quality, "A", "shift 0").figures
    assert (figures["mean_iou"].value, figures["share_without_box"].value) == (0, 1)
    assert figures["mean_iou_with_box"].value is None
    json.dumps(quality.to_dict(), allow_nan=False)


def test_a_figure_that_no_resample_defines_has_no_interval(truth):
    made = _shifted(truth, 0, without=range(1, 12))  # one image with a box, in one of six groups
    lows = []
    for seed in range(10):
        quality = judge_boxes(truth, [made], num_resamples=1, seed=seed)
        json.dumps(quality.to_dict(), allow_nan=False)
        with_box = _method(quality, "all", "shift 0").figures["mean_iou_with_box"]
        assert with_box.value == 1
        lows.append(with_box.low)
    assert set(lows) == {None, 1}


# errors


def test_nothing_to_judge_is_refused(truth):
    with pytest.raises(InputError, match="at least one manifest with boxes"):
        judge_boxes(truth, [])


def test_no_resamples_are_refused(truth):
    with pytest.raises(InputError, match="num_resamples must be at least 1"):
        judge_boxes(truth, [truth], num_resamples=0)
