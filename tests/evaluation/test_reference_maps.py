import math

import numpy as np
import pytest

from care_tf.errors import InputError
from care_tf.evaluation._reference_maps import attention_references, centered_gaussian


def _box(height, width, x0, y0, x1, y1):
    mask = np.zeros((height, width), np.float32)
    mask[y0:y1, x0:x1] = 1
    return mask


# oracle


def test_equals_the_closed_form_of_a_box():
    """Energy of a Gaussian in a box is a product of error functions, relative to that of the frame."""

    def part(low, high):
        edges = [math.erf((edge - 0.5) / (0.2 * math.sqrt(2))) for edge in (low, high)]
        return edges[1] - edges[0]

    found = attention_references([_box(450, 600, 120, 90, 420, 400)])
    assert found["uniform"][0] == pytest.approx(300 * 310 / (450 * 600))
    expected = part(120 / 600, 420 / 600) * part(90 / 450, 400 / 450) / part(0, 1) ** 2
    assert found["centered_gaussian"][0] == pytest.approx(expected, rel=1e-4)


# identities


def test_full_frame_gives_one():
    found = attention_references([np.ones((30, 40)), np.ones((10, 10, 1))])
    np.testing.assert_allclose(found["uniform"], 1.0)
    np.testing.assert_allclose(found["centered_gaussian"], 1.0)


def test_size_in_pixels_does_not_matter():
    small = _box(45, 60, 12, 9, 42, 40)
    found = attention_references([small, np.kron(small, np.ones((8, 8)))])
    assert found["uniform"][0] == pytest.approx(found["uniform"][1])
    assert found["centered_gaussian"][0] == pytest.approx(found["centered_gaussian"][1], rel=0.01)


# properties


def test_gaussian_is_symmetric_and_highest_in_the_middle():
    found = centered_gaussian(31, 41)
    np.testing.assert_allclose(found, found[::-1, ::-1])
    assert found.max() == found[15, 20] == 1.0


def test_gaussian_rewards_central_boxes_only():
    central, corner = _box(60, 80, 20, 15, 60, 45), _box(60, 80, 0, 0, 40, 30)
    found = attention_references([central, corner])
    assert (
        found["centered_gaussian"][0] > found["uniform"][0] == found["uniform"][1] > found["centered_gaussian"][1] / 1.2
    )


# edges


def test_no_box_is_undefined():
    found = attention_references([np.zeros((5, 5)), _box(5, 5, 0, 0, 5, 1)])
    assert np.isnan(found["uniform"][0]) and np.isnan(found["centered_gaussian"][0])
    assert found["uniform"][1] == pytest.approx(0.2)


# errors


def test_other_shapes_are_refused():
    with pytest.raises(InputError, match=r"Received: shape \(4, 4, 3\) at mask 1"):
        attention_references([np.ones((4, 4)), np.ones((4, 4, 3))])
