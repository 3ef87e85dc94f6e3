import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from care_tf.boxes.formats._corners import ellipse_box, rotated_box, tight_box_of_points

_boxes = st.tuples(*[st.floats(-100, 100)] * 2, *[st.floats(0.5, 100)] * 2)
_angles = st.floats(-720, 720)


def _slow_rotation(points, degrees, fixed):
    """Clockwise on the screen: with y downwards, from the x axis towards the y axis."""
    moved = [complex(x - fixed[0], y - fixed[1]) * complex(*_unit(degrees)) for x, y in points]
    xs, ys = [z.real + fixed[0] for z in moved], [z.imag + fixed[1] for z in moved]
    return [min(xs), min(ys), max(xs), max(ys)]


def _unit(degrees):
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


@given(_boxes, _angles, st.booleans())
def test_a_rotated_box_is_the_rectangle_of_its_corners(box, degrees, about_corner):
    x, y, w, h = box
    fixed = (x, y) if about_corner else (x + w / 2, y + h / 2)
    corners = [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
    expected = _slow_rotation(corners, degrees, fixed)
    result = rotated_box([x, y, x + w, y + h], degrees, about=fixed if about_corner else None)
    np.testing.assert_allclose(result, expected, atol=1e-9)


@given(_boxes, _angles)
def test_about_the_center_either_direction_gives_the_same_rectangle(box, degrees):
    x, y, w, h = box
    box = [x, y, x + w, y + h]
    np.testing.assert_allclose(rotated_box(box, degrees), rotated_box(box, -degrees), atol=1e-9)


def test_no_rotation_is_exact():
    box = [0.1, 0.2, 0.30000000000000004, 0.7]
    assert rotated_box(box, 0).tolist() == rotated_box(box, -360).tolist() == box


@given(st.floats(-50, 50), st.floats(-50, 50), st.floats(0.1, 50), st.floats(0.1, 50), _angles)
def test_an_ellipse_touches_its_rectangle(x, y, radius_x, radius_y, degrees):
    turns = np.linspace(0, 2 * np.pi, 20001)
    cos, sin = _unit(degrees)
    along, across = radius_x * np.cos(turns), radius_y * np.sin(turns)
    rim = np.stack([x + along * cos - across * sin, y + along * sin + across * cos], axis=1)
    expected = [*rim.min(axis=0), *rim.max(axis=0)]
    np.testing.assert_allclose(ellipse_box([x, y], [radius_x, radius_y], degrees), expected, atol=1e-5)


@pytest.mark.parametrize("points", [[[1, 2], [3, 0]], [[3, 2], [1, 0]], [[1, 0], [3, 2], [2, 1]]])
def test_the_order_of_points_does_not_matter(points):
    assert tight_box_of_points(points).tolist() == [1, 0, 3, 2]
