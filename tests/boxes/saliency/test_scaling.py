import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from care_tf.boxes.saliency._scaling import min_max


@given(hnp.arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e3, 1e3)))
def test_min_max_fills_the_unit_interval_and_keeps_the_order(values):
    scaled = min_max(values)
    assert scaled.min() >= 0 and scaled.max() <= 1
    order = np.argsort(values, kind="stable")
    assert (np.diff(scaled[order]) >= 0).all()
    if np.ptp(values) > 1e-3:
        assert scaled.min() == 0 and scaled.max() == 1


def test_min_max_takes_rounding_for_nothing():
    assert not min_max(np.array([0.3, 0.3 + 1e-16, 0.1 + 0.2])).any()
    assert not min_max(np.array([])).size
    masked = min_max(np.array([5.0, 1.0, 3.0]), np.array([False, True, True]))
    assert masked.tolist() == [0.0, 0.0, 1.0]
    assert not min_max(np.array([5.0, 1.0]), np.array([False, False])).any()
