import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.boxes.judging._box_overlap import (
    best_box_iou,
    best_fixed_centered_box,
    box_coverage,
    centered_box,
    disjoint_boxes,
    mask_coverage,
    union_iou,
)
from care_tf.errors import InputError

_EDGES = st.lists(st.integers(0, 20), min_size=2, max_size=2, unique=True).map(sorted)
_BOX = st.tuples(_EDGES, _EDGES).map(lambda xy: [xy[0][0], xy[1][0], xy[0][1], xy[1][1]])
_BOXES = st.lists(_BOX, max_size=4)
_TRUE_BOXES = st.lists(_BOX, min_size=1, max_size=4)


def _pixels(boxes):
    """The set of whole pixels that whole-pixel boxes cover."""
    return {(x, y) for x0, y0, x1, y1 in boxes for x in range(x0, x1) for y in range(y0, y1)}


# oracle


@given(_BOXES, _TRUE_BOXES)
def test_overlaps_count_pixels(made, true):
    ours, truth = _pixels(made), _pixels(true)
    assert union_iou(made, true) == pytest.approx(len(ours & truth) / len(ours | truth))
    assert box_coverage(made, true) == pytest.approx(len(ours & truth) / len(truth))
    pairs = [len(_pixels([a]) & _pixels([b])) / len(_pixels([a]) | _pixels([b])) for a in made for b in true]
    assert best_box_iou(made, true) == pytest.approx(max(pairs, default=0))


@given(_BOXES)
def test_disjoint_boxes_cover_every_pixel_once(boxes):
    counts = np.zeros((20, 20), int)
    for x0, y0, x1, y1 in disjoint_boxes(boxes).astype(int):
        counts[y0:y1, x0:x1] += 1
    expected = np.zeros((20, 20), int)
    for x, y in _pixels(boxes):
        expected[y, x] = 1
    np.testing.assert_array_equal(counts, expected)


@settings(max_examples=25)
@given(_BOXES, st.integers(0, 2**31))
def test_mask_coverage_counts_the_lesion_s_pixels(made, seed):
    mask = np.random.default_rng(seed).random((20, 20)) < 0.3
    mask[3, 4] = True
    inside = sum(mask[y, x] for x, y in _pixels(made))
    assert mask_coverage(made, mask, 20, 20) == pytest.approx(inside / mask.sum())


def test_the_best_centered_box_is_the_best_of_all_that_are_tried():
    rng = np.random.default_rng(3)
    sizes = [(200, 150), (60, 80), (100, 100), (200, 150)]
    true = []
    for width, height in sizes:
        corner, side = rng.uniform(0, 0.4, 2), rng.uniform(0.2, 0.6, 2)
        scale = np.array([width, height])
        true.append(np.concatenate([corner * scale, (corner + side) * scale])[np.newaxis])
    true[1] = np.concatenate([true[1], [[30, 20, 55, 70]]])
    tried = {}
    for i in range(1, 11):
        for j in range(1, 11):
            ious = [
                union_iou(centered_box(i / 10, j / 10, width, height), boxes)
                for boxes, (width, height) in zip(true, sizes, strict=True)
            ]
            tried[i / 10, j / 10] = np.mean(ious)
    found = best_fixed_centered_box(true, sizes, num_steps=10)
    assert (found.width_fraction, found.height_fraction) == max(tried, key=tried.get)
    assert found.mean_iou == pytest.approx(max(tried.values()), rel=1e-5)


# identities


def test_one_box_each_between_pixels():
    assert union_iou([[0.5, 0, 2.5, 2]], [[1.5, 0, 3.5, 2]]) == pytest.approx(2 / 6)
    assert best_box_iou([[0.5, 0, 2.5, 2]], [[1.5, 0, 3.5, 2]]) == pytest.approx(2 / 6)


@given(_TRUE_BOXES)
def test_the_truth_itself_is_perfect(true):
    assert union_iou(true, true) == pytest.approx(1)
    assert best_box_iou(true, true) == pytest.approx(1)
    assert box_coverage(true, true) == pytest.approx(1)


def test_the_whole_image_covers_everything_and_its_iou_is_the_truth_s_share():
    whole = centered_box(1, 1, 200, 150)
    assert whole.tolist() == [[0, 0, 200, 150]]
    assert box_coverage(whole, [[10, 10, 60, 40]]) == 1
    assert union_iou(whole, [[10, 10, 60, 40]]) == pytest.approx(1500 / 30000)


def test_a_mask_of_another_size_shows_the_same_frame():
    mask = np.zeros((450, 600), bool)
    mask[90:270, 120:360] = True  # 40..120, 30..90 of 200 x 150 px
    assert mask_coverage([[40, 30, 80, 90]], mask, 200, 150) == pytest.approx(0.5)
    assert mask_coverage([[40, 30, 120, 90]], mask, 200, 150) == 1


def test_a_centered_truth_is_found_exactly():
    found = best_fixed_centered_box([[[50, 30, 150, 120]]] * 3, [(200, 150)] * 3)
    assert (found.width_fraction, found.height_fraction, found.mean_iou) == pytest.approx((0.5, 0.6, 1.0))


# properties


@given(_BOXES, _TRUE_BOXES)
def test_the_iou_of_unions_is_symmetric_and_at_most_the_coverage(made, true):
    iou = union_iou(made, true)
    assert 0 <= iou <= box_coverage(made, true) + 1e-12
    if made:
        assert iou == pytest.approx(union_iou(true, made))


@given(_BOXES, _BOX, _TRUE_BOXES)
def test_another_box_never_covers_less(made, another, true):
    assert box_coverage([*made, another], true) >= box_coverage(made, true) - 1e-12
    assert best_box_iou([*made, another], true) >= best_box_iou(made, true)


# edges


def test_no_made_box_scores_0():
    assert union_iou([], [[0, 0, 1, 1]]) == 0
    assert best_box_iou([], [[0, 0, 1, 1]]) == 0
    assert box_coverage([], [[0, 0, 1, 1]]) == 0
    assert mask_coverage([], np.ones((2, 2), bool), 2, 2) == 0
    assert disjoint_boxes([]).shape == (0, 4)


def test_of_equally_good_boxes_the_smallest():
    found = best_fixed_centered_box([[[0, 0, 10, 10]]], [(100, 100)], num_steps=1)
    assert (found.width_fraction, found.height_fraction, found.mean_iou) == pytest.approx((1, 1, 0.01))


# errors


@pytest.mark.parametrize("figure", [union_iou, box_coverage])
def test_no_truth_is_refused(figure):
    with pytest.raises(InputError, match="at least one true box"):
        figure([[0, 0, 1, 1]], [])


def test_an_empty_mask_is_refused():
    with pytest.raises(InputError, match="a mask that marks something"):
        mask_coverage([[0, 0, 1, 1]], np.zeros((3, 3), bool), 3, 3)


@pytest.mark.parametrize(
    ("true", "sizes", "num_steps", "message"),
    [
        ([], [], 50, "needs images and a size of each. Received 0 and 0"),
        ([[[0, 0, 1, 1]]], [(5, 5), (5, 5)], 50, "Received 1 and 2"),
        ([[]], [(5, 5)], 50, "at least one true box"),
        ([[[0, 0, 1, 1]]], [(5, 5)], 0, "num_steps must be at least 1. Received 0"),
    ],
)
def test_a_centered_box_of_nothing_is_refused(true, sizes, num_steps, message):
    with pytest.raises(InputError, match=message):
        best_fixed_centered_box(true, sizes, num_steps)
