import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from care_tf.boxes._map_doubt import box_doubt
from care_tf.errors import InputError


def _slow_doubt(values, boxes):
    """Pixel by pixel, in plain Python."""
    inside, outside = [], []
    for i, row in enumerate(values.tolist()):
        for j, value in enumerate(row):
            is_inside = any(x0 <= j + 0.5 < x1 and y0 <= i + 0.5 < y1 for x0, y0, x1, y1 in boxes)
            (inside if is_inside else outside).append(value)
    mean = sum(inside) / len(inside)
    contrast = mean - sum(outside) / len(outside)
    spread = math.sqrt(sum((value - mean) ** 2 for value in inside) / len(inside))
    share = sum(inside) / (sum(inside) + sum(outside))
    return 1 - contrast / (contrast + spread) * math.sqrt(share) if contrast > 0 else 1


_BOXES = [[[2, 1, 6, 5]], [[0, 0, 3, 3], [2, 2, 8, 6]], [[7, 5, 8, 6]], [[0.4, 0.2, 3.7, 2.6]]]


# oracle


@pytest.mark.parametrize("boxes", _BOXES)
@pytest.mark.parametrize("seed", range(4))
def test_the_formula_pixel_by_pixel(boxes, seed):
    values = np.random.default_rng(seed).random((6, 8))
    values[1:5, 2:6] += 0.5
    assert box_doubt(values, boxes) == pytest.approx(_slow_doubt(values, boxes))


# identities


def test_a_map_that_is_the_box_has_no_doubt():
    values = np.zeros((6, 8))
    values[1:5, 2:6] = 0.7
    assert box_doubt(values, [[2, 1, 6, 5]]) == 0


def test_half_of_the_map_outside():
    values = np.zeros((4, 4))
    values[:2, :2] = 1
    values[3, 0:4] = 1  # as much again, over 12 px: mean 1/3
    assert box_doubt(values, [[0, 0, 2, 2]]) == pytest.approx(1 - math.sqrt(0.5))


@pytest.mark.parametrize(
    ("values", "boxes"),
    [
        (np.eye(4), []),
        (np.zeros((4, 4)), [[1, 1, 2, 2]]),
        (np.ones((4, 4)), [[1, 1, 2, 2]]),
        (np.ones((4, 4)), [[0, 0, 4, 4]]),
        (np.eye(4), [[0, 0, 4, 4]]),
        (1 - np.eye(4), [[0, 0, 1, 1]]),
    ],
    ids=["no box", "nothing", "flat", "all of it", "all of a map", "lower inside"],
)
def test_what_separates_nothing_is_all_doubt(values, boxes):
    assert box_doubt(values, boxes) == 1


# properties


@given(st.integers(0, 2**31), st.floats(1e-3, 1e3), st.sampled_from(_BOXES))
def test_the_scale_plays_no_part_and_doubt_is_a_share(seed, scale, boxes):
    values = np.random.default_rng(seed).random((6, 8)) ** 2
    doubt = box_doubt(values, boxes)
    assert 0 <= doubt <= 1
    assert box_doubt(scale * values, boxes) == pytest.approx(doubt)


@given(st.integers(0, 2**31), st.floats(0.01, 1))
def test_more_inside_lowers_it_and_more_outside_raises_it(seed, amount):
    values = np.random.default_rng(seed).random((6, 8))
    values[1:5, 2:6] += 0.6
    inside = np.zeros((6, 8))
    inside[1:5, 2:6] = amount
    boxes = [[2, 1, 6, 5]]
    assert box_doubt(values + inside, boxes) < box_doubt(values, boxes)
    assert box_doubt(values + (amount - inside), boxes) > box_doubt(values, boxes)


# errors


@pytest.mark.parametrize(
    ("values", "boxes", "message"),
    [
        (np.zeros((2, 3, 1)), [], r"shape \(height, width\)"),
        ([[0.5, np.nan]], [], "finite"),
        ([[0.5, -0.1]], [], "not be negative. Received a least value of -0.1"),
        (np.eye(4), [[0, 0, 5, 4]], "the map's boxes: .*leaves the image of 4 x 4 px"),
    ],
)
def test_bad_maps_and_boxes_are_refused(values, boxes, message):
    with pytest.raises(InputError, match=message):
        box_doubt(values, boxes)
