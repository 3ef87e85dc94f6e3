import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.filters import threshold_otsu

from care_tf.boxes._from_map import BOX_RULES, boxes_from_map, large_components, marked_pixels, otsu_threshold
from care_tf.errors import InputError


def _slow_components(marked):
    """Sets of pixels, in the order of their first pixel, row by row."""
    left = {(i, j) for i in range(marked.shape[0]) for j in range(marked.shape[1]) if marked[i, j]}
    components = []
    for start in sorted(left):
        if start not in left:
            continue
        component, todo = set(), [start]
        while todo:
            i, j = todo.pop()
            if (i, j) in left:
                left.remove((i, j))
                component.add((i, j))
                todo += [(i + di, j + dj) for di in (-1, 0, 1) for dj in (-1, 0, 1)]
        components.append(component)
    return components


def _slow_boxes(values, threshold, min_area_fraction, rule, max_boxes):
    components = [c for c in _slow_components(values >= threshold) if len(c) >= min_area_fraction * values.size]
    components.sort(key=len, reverse=True)  # stable: equal sizes stay in reading order
    if not components:
        return []
    chosen = {"one": [set().union(*components)], "largest": components[:1], "each": components[:max_boxes]}[rule]
    return [
        [min(j for _, j in c), min(i for i, _ in c), max(j for _, j in c) + 1, max(i for i, _ in c) + 1] for c in chosen
    ]


def _random_map(seed, height, width):
    noise = np.random.default_rng(seed).random((height, width))
    return np.clip(1.6 * cv2.blur(noise, (3, 3)) - 0.3, 0, 1)


# oracle


@given(
    st.integers(0, 2**31),
    st.integers(2, 20),
    st.integers(2, 20),
    st.sampled_from([0.3, 0.5, 0.7]),
    st.sampled_from([0.0, 0.01, 0.05, 0.5]),
    st.sampled_from(BOX_RULES),
    st.sampled_from([None, 1, 2]),
)
def test_boxes_pixel_by_pixel(seed, height, width, threshold, min_area_fraction, rule, max_boxes):
    values = _random_map(seed, height, width)
    max_boxes = max_boxes if rule == "each" else None
    found = boxes_from_map(values, threshold, min_area_fraction, boxes=rule, max_boxes=max_boxes)
    assert found.dtype == np.float32
    assert found.shape[1:] == (4,)
    assert found.tolist() == _slow_boxes(values, threshold, min_area_fraction, rule, max_boxes)


@pytest.mark.parametrize("seed", range(5))
def test_components_are_numbered_by_area(seed):
    marked = np.random.default_rng(seed).random((17, 23)) < 0.3
    labels, areas = large_components(marked, 0.0)
    expected = sorted(_slow_components(marked), key=len, reverse=True)
    assert areas == [len(c) for c in expected]
    assert [set(zip(*np.nonzero(labels == n), strict=True)) for n in range(1, len(areas) + 1)] == expected
    np.testing.assert_array_equal(labels > 0, marked)


@pytest.mark.parametrize("seed", range(4))
def test_otsu_against_scikit_image(seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(0.3, 0.1, 4000), rng.normal(0.8, 0.1, 1500)])
    # Between the classes lies a gap, and any threshold in it is as good: what counts is who falls on which side.
    differ = (values >= otsu_threshold(values)) != (values > threshold_otsu(values))
    assert differ.mean() < 0.002


def test_the_adaptive_threshold_is_twice_the_mean():
    values = np.array([[0.0, 0.1, 0.0, 0.3], [0.0, 0.2, 0.9, 0.1]])  # mean 0.2
    assert marked_pixels(values, "adaptive").tolist() == [[False, False, False, False], [False, False, True, False]]
    values[0, 0] = 0.4  # mean 0.25
    assert marked_pixels(values, "adaptive").sum() == 1


# identities


def test_diagonal_neighbors_are_one_component():
    assert boxes_from_map(np.eye(6), min_area_fraction=0.0, boxes="each").tolist() == [[0, 0, 6, 6]]


def test_small_components_are_dropped_at_exactly_their_share():
    values = np.zeros((10, 20))
    values[2:4, 2:7] = 1  # 10 of 200 px
    values[8, 15] = 1
    assert boxes_from_map(values, min_area_fraction=0.05).tolist() == [[2, 2, 7, 4]]
    assert boxes_from_map(values, min_area_fraction=0.0051).tolist() == [[2, 2, 7, 4]]
    assert boxes_from_map(values, min_area_fraction=0.005).tolist() == [[2, 2, 16, 9]]
    assert boxes_from_map(values, min_area_fraction=0.051).shape == (0, 4)


def test_the_three_rules():
    values = np.zeros((20, 30))
    values[2:5, 2:5] = values[10:18, 12:20] = values[2:5, 20:23] = 1
    large, left, right = [12, 10, 20, 18], [2, 2, 5, 5], [20, 2, 23, 5]
    assert boxes_from_map(values).tolist() == [[2, 2, 23, 18]]
    assert boxes_from_map(values, boxes="largest").tolist() == [large]
    assert boxes_from_map(values, boxes="each").tolist() == [large, left, right]
    assert boxes_from_map(values, boxes="each", max_boxes=2).tolist() == [large, left]


def test_otsu_separates_two_levels_anywhere_in_the_gap():
    values = np.full((10, 10), -3.0)
    values[4:8, 5:9] = 40.0
    assert boxes_from_map(values, "otsu").tolist() == [[5, 4, 9, 8]]


# properties


@given(st.integers(0, 2**31), st.floats(0.1, 10), st.floats(-5, 5))
def test_otsu_moves_with_the_map(seed, scale, shift):
    values = _random_map(seed, 12, 15)
    if np.ptp(values) > 0.1:
        moved = (otsu_threshold(scale * values + shift) - shift) / scale
        assert moved == pytest.approx(otsu_threshold(values), abs=2.01 * np.ptp(values) / 256)


@given(st.integers(0, 2**31), st.sampled_from(["otsu", "adaptive", 0.4]))
def test_equal_maps_give_equal_boxes_inside_the_map(seed, threshold):
    values = _random_map(seed, 14, 18)
    boxes = boxes_from_map(values, threshold, boxes="each")
    np.testing.assert_array_equal(boxes, boxes_from_map(values.copy(order="F"), threshold, boxes="each"))
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= [18, 14]).all()
    assert (boxes[:, :2] < boxes[:, 2:]).all()


@given(st.integers(0, 2**31), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_marks_less(seed, first, second):
    values = _random_map(seed, 9, 11)
    low, high = sorted([first, second])
    assert not (marked_pixels(values, high) & ~marked_pixels(values, low)).any()


# edges


@pytest.mark.parametrize("threshold", [0.5, 0.0, "otsu", "adaptive"])
@pytest.mark.parametrize("rule", BOX_RULES)
def test_a_map_of_zeros_has_no_box(threshold, rule):
    assert boxes_from_map(np.zeros((5, 7)), threshold, boxes=rule).shape == (0, 4)


@pytest.mark.parametrize("threshold", ["otsu", "adaptive"])
def test_a_flat_map_has_no_box_by_the_rules_that_compare(threshold):
    assert boxes_from_map(np.full((5, 7), 0.8), threshold).shape == (0, 4)
    assert boxes_from_map(np.full((5, 7), -0.8), threshold).shape == (0, 4)


def test_a_partly_negative_map_does_not_fill_the_frame():
    values = np.full((10, 10), -2.0)
    values[3:6, 3:6] = 1.0
    assert boxes_from_map(values, "adaptive").tolist() == [[3, 3, 6, 6]]


def test_masks_and_rounding_are_maps_too():
    mask = np.zeros((5, 7), bool)
    mask[1:3, 2:6] = True
    assert boxes_from_map(mask).tolist() == [[2, 1, 6, 3]]
    assert boxes_from_map(mask.astype(np.float32) * (1 + 1e-7), 1.0).tolist() == [[2, 1, 6, 3]]
    assert boxes_from_map([[1.0]]).tolist() == [[0, 0, 1, 1]]


# errors


@pytest.mark.parametrize(
    ("map", "message"),
    [
        (np.zeros((4, 4, 1)), r"shape \(height, width\).*\(4, 4, 1\)"),
        (np.zeros((0, 4)), r"shape \(0, 4\)"),
        ([["a", "b"]], "array .* of numbers"),
        ([[1, 2], [3]], "array .* of numbers"),
        ([[0.5, np.nan]], "must be finite. Received 1 pixels"),
        ([[0.5, np.inf]], "must be finite"),
        ([[0, 255]], r"map in \[0, 1\]. Received values from 0 to 255"),
        ([[-0.5, 1]], r"values from -0.5 to 1"),
    ],
)
def test_what_is_no_map_is_refused(map, message):
    with pytest.raises(InputError, match=message):
        boxes_from_map(map)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 1.5}, "number from 0 to 1, 'otsu' or 'adaptive'. Received 1.5"),
        ({"threshold": np.nan}, "Received nan"),
        ({"threshold": True}, "Received True"),
        ({"threshold": None}, "Received None"),
        ({"threshold": "mean"}, "Received 'mean'"),
        ({"min_area_fraction": -0.1}, "share of the image, from 0 to 1. Received -0.1"),
        ({"min_area_fraction": "1%"}, "share of the image.*'1%'"),
        ({"boxes": "all"}, "one of one, largest, each. Received 'all'"),
        ({"max_boxes": 2}, 'goes with boxes "each". Received 2 with one'),
        ({"boxes": "each", "max_boxes": 0}, "at least 1"),
        ({"boxes": "each", "max_boxes": 1.5}, "Received 1.5"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        boxes_from_map(np.zeros((4, 4)), **settings)
