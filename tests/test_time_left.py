import pytest

from care_tf.time_left import as_duration, seconds_left


@pytest.mark.parametrize(("durations", "typical"), [([4.0], 4), ([1.0, 3.0], 3), ([100.0, 2.0, 1.0], 2)])
def test_the_median_step_counts_and_of_two_the_longer(durations, typical):
    assert seconds_left(durations, 10) == 10 * typical
    assert seconds_left(durations, 0) == 0


def test_durations_are_in_whole_seconds():
    assert [str(as_duration(seconds)) for seconds in (0.4, 61.6, 90_000)] == ["0:00:00", "0:01:02", "1 day, 1:00:00"]
