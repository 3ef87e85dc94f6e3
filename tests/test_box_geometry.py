import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.box_geometry import (
    box_areas,
    box_iou,
    clip_boxes,
    randomly_placed_boxes,
    scale_boxes,
    shortest,
    shows_region,
    tight_box,
    tight_box_in_image,
    union_mask,
    validate_boxes,
)
from care_tf.errors import InputError


def _slow_mask(boxes, scale_x, scale_y, height, width):
    """Pixel by pixel, from the rule's words."""
    mask = np.zeros((height, width), np.float32)
    for x0, y0, x1, y1 in boxes:
        x0, x1 = np.float32(x0) * np.float32(scale_x), np.float32(x1) * np.float32(scale_x)
        y0, y1 = np.float32(y0) * np.float32(scale_y), np.float32(y1) * np.float32(scale_y)
        covered = 0
        for row in range(height):
            for column in range(width):
                if x0 <= column + 0.5 < x1 and y0 <= row + 0.5 < y1:
                    mask[row, column] = 1
                    covered += 1
        if not covered:
            row = min(int(np.floor((y0 + y1) / 2)), height - 1)
            column = min(int(np.floor((x0 + x1) / 2)), width - 1)
            mask[row, column] = 1
    return mask


_EDGES = st.lists(st.integers(0, 80).map(lambda quarter: quarter / 4), min_size=2, max_size=2, unique=True).map(sorted)
_BOXES = st.lists(st.tuples(_EDGES, _EDGES).map(lambda xy: (xy[0][0], xy[1][0], xy[0][1], xy[1][1])), max_size=4)


@settings(max_examples=40, deadline=None)
@given(_BOXES)
def test_union_mask_agrees_with_the_rule_pixel_by_pixel(boxes):
    mask = union_mask(boxes, 15, 20)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, _slow_mask(boxes, 1, 1, 15, 20))


def test_tight_box_is_half_open_and_around_every_set_pixel():
    region = np.zeros((4, 6))
    region[1, 2] = region[3, 5] = 7
    assert tight_box(region).tolist() == [[2, 1, 6, 4]]
    assert tight_box(np.zeros((4, 6))).shape == (0, 4)
    assert tight_box(np.ones((4, 6), bool)).tolist() == [[0, 0, 6, 4]]


def test_box_iou_of_known_pairs():
    iou = box_iou([[0, 0, 4, 4]], [[0, 0, 4, 4], [2, 0, 6, 4], [4, 0, 8, 4], [1, 1, 3, 3]])
    np.testing.assert_allclose(iou, [[1, 8 / 24, 0, 4 / 16]], rtol=1e-6)


@given(_BOXES, _BOXES)
def test_box_iou_of_whole_pixel_boxes_counts_pixels(first, second):
    first, second = (np.round(np.asarray(boxes).reshape(-1, 4)) * [1, 1, 1, 1] for boxes in (first, second))
    first, second = (boxes[(boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])] for boxes in (first, second))
    iou = box_iou(first, second)
    assert iou.shape == (len(first), len(second))
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            masks = union_mask([a], 20, 20), union_mask([b], 20, 20)
            np.testing.assert_allclose(iou[i, j], (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum(), rtol=1e-5)


def test_scaling_by_one_changes_nothing_and_keeps_the_center_otherwise():
    boxes = np.array([[2, 3, 6, 9], [0, 0, 10, 10]], np.float32)
    np.testing.assert_array_equal(scale_boxes(boxes, 1.0, 10, 10), boxes)
    np.testing.assert_allclose(scale_boxes(boxes[:1], 0.5, 10, 10), [[3, 4.5, 5, 7.5]])


def test_scaled_boxes_are_clipped_to_the_image():
    np.testing.assert_allclose(scale_boxes([[0, 2, 4, 8]], 2.0, 10, 9), [[0, 0, 6, 9]])


def test_no_boxes_give_empty_results():
    assert validate_boxes([], 5, 5, "image").shape == (0, 4)
    assert scale_boxes([], 2.0, 5, 5).shape == (0, 4)
    assert not union_mask([], 3, 4).any()


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[1, 2, np.nan, 4]], r"photo: box \[1, 2, nan, 4\] holds NaN"),
        ([[1, 2, np.inf, 4]], "NaN or infinity"),
        ([[5, 2, 1, 4]], "inverted or empty"),
        ([[]], "must be a list of"),
        ([[1, 4, 5, 4]], "inverted or empty"),
        ([[-1, 0, 5, 4]], "leaves the image of 20 x 10 px"),
        ([[0, 0, 5, 10.5]], "leaves the image"),
        ([[0, 0, 5]], r"list of \[x0, y0, x1, y1\]"),
        ([0, 0, 5, 5], r"list of \[x0, y0, x1, y1\]"),
        ([["a", 0, 5, 5]], r"list of \[x0, y0, x1, y1\]"),
        ({"x0": 1}, r"list of \[x0, y0, x1, y1\]"),
    ],
)
def test_bad_boxes_are_refused(boxes, message):
    with pytest.raises(InputError, match=message):
        validate_boxes(boxes, 20, 10, "photo")


@pytest.mark.parametrize("factor", [0, -1, np.nan, np.inf])
def test_bad_scales_are_refused(factor):
    with pytest.raises(InputError, match="positive number"):
        scale_boxes([[0, 0, 1, 1]], factor, 5, 5)


def _whole_pixels(boxes):
    return np.floor(np.asarray(boxes).reshape(-1, 4)) + np.array([0, 0, 1, 1])


@given(_BOXES)
def test_areas_of_whole_pixel_boxes_count_pixels(boxes):
    whole = _whole_pixels(boxes)
    np.testing.assert_array_equal(box_areas(whole), [union_mask([box], 21, 21).sum() for box in whole])


def test_an_inverted_box_has_no_area():
    assert box_areas([[4, 4, 1, 1], [2, 3, 2, 9], [0, 0, 2.5, 2]]).tolist() == [0, 0, 5]


@given(_BOXES, st.integers(1, 25), st.integers(1, 25))
def test_clipped_boxes_are_valid_and_cover_what_the_boxes_cover_of_the_image(boxes, width, height):
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    clipped, is_kept = clip_boxes(boxes, width, height)
    np.testing.assert_array_equal(validate_boxes(clipped, width, height, "clipped"), clipped)
    image = np.array([[0, 0, width, height]], np.float32)
    np.testing.assert_array_equal(is_kept, box_iou(boxes, image)[:, 0] > 0)
    for box, cut in zip(boxes[is_kept], clipped, strict=True):
        np.testing.assert_array_equal(cut, [*np.maximum(box[:2], 0), *np.minimum(box[2:], image[0, 2:])])


def test_boxes_inside_the_image_are_not_changed_by_clipping():
    boxes = np.array([[5, 2, 9, 4], [0, 0, 10, 8]], np.float32)
    clipped, is_kept = clip_boxes(boxes, 10, 8)
    np.testing.assert_array_equal(clipped, boxes)
    assert is_kept.all()


def test_no_boxes_have_no_area_and_nothing_to_clip():
    assert box_areas([]).shape == (0,)
    clipped, is_kept = clip_boxes([], 5, 5)
    assert clipped.shape == (0, 4)
    assert is_kept.shape == (0,)


@given(_BOXES, st.sampled_from([(21, 21), (42, 63), (7, 100)]))
def test_a_masks_tight_box_covers_the_same_share_of_an_image_of_any_size(boxes, size):
    mask = union_mask(boxes, 21, 21)
    found = tight_box_in_image(mask, *size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found / [*size, *size], tight_box(mask) / 21, rtol=1e-6)


@pytest.mark.parametrize(("mask", "expected"), [([[0, 0]], False), ([[255, 1]], False), ([[0, 255]], True)])
def test_a_mask_of_all_or_nothing_shows_no_region(mask, expected):
    assert shows_region(np.array(mask, np.uint8)) is expected


@given(st.floats(0, 1e6, width=32))
def test_the_shortest_number_reads_back_as_the_same_float32(value):
    assert np.float32(json.loads(json.dumps(shortest(value)))) == np.float32(value)
    assert len(str(shortest(value))) <= len(str(value))


def test_a_finer_number_stays():
    assert shortest(0.1 + 0.2) == 0.1 + 0.2
    assert str(shortest(12.0)) == "12"


def _slow_free_places(side_x, side_y, boxes, width, height):
    """Every whole place of a box of that size that no box given takes, place by place."""
    places = []
    for y in range(int(height - side_y) + 1):
        for x in range(int(width - side_x) + 1):
            own = [x, y, x + side_x, y + side_y]
            if all(max(abs(a - b) for a, b in zip(own, box, strict=True)) >= 1 for box in boxes):
                places.append((x, y))
    return places


@given(_BOXES, st.integers(0, 99))
def test_a_randomly_placed_box_keeps_its_size_and_takes_a_free_place_where_there_is_one(boxes, seed):
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    placed = randomly_placed_boxes(boxes, 21, 21, np.random.default_rng(seed))
    assert placed.dtype == np.float32 and placed.shape == boxes.shape
    np.testing.assert_allclose(placed[:, 2:] - placed[:, :2], boxes[:, 2:] - boxes[:, :2], atol=1e-5)
    assert np.all((placed >= 0) & (placed <= 21))
    for before, after in zip(boxes.tolist(), placed.tolist(), strict=True):
        free = _slow_free_places(before[2] - before[0], before[3] - before[1], boxes.tolist(), 21, 21)
        assert (after[0], after[1]) in free if free else after == before


def test_every_other_place_is_taken_sooner_or_later():
    box, rng = [[1, 0, 4, 3]], np.random.default_rng(0)
    found = {tuple(randomly_placed_boxes(box, 5, 4, rng)[0].tolist()) for _ in range(200)}
    assert found == {(x, y, x + 3, y + 3) for x in range(3) for y in range(2)} - {(1, 0, 4, 3)}


def test_two_boxes_of_one_size_do_not_change_places():
    boxes, rng = [[0, 0, 2, 2], [3, 0, 5, 2]], np.random.default_rng(0)
    for _ in range(100):
        assert not {tuple(box) for box in randomly_placed_boxes(boxes, 5, 2, rng)} & {(0, 0, 2, 2), (3, 0, 5, 2)}


@pytest.mark.parametrize("box", [[0, 0, 5, 4], [0.5, 0.25, 4.75, 4]])
def test_a_box_that_leaves_no_other_place_stays(box):
    np.testing.assert_array_equal(randomly_placed_boxes([box], 5, 4, np.random.default_rng(0)), [box])
