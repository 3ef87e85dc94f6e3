import _thread
import signal
import threading
import time

import pytest

from care_tf.errors import InputError
from care_tf.file_work import for_each_file, map_files


def _halve(number):
    if number % 2:
        raise InputError(f"{number} is odd")
    time.sleep(0.001 * (10 - number))  # later items are done first
    return number // 2


def test_results_come_in_order_and_errors_in_their_places():
    results = map_files(_halve, iter(range(6)))
    assert results[::2] == [0, 1, 2]
    assert [str(error) for error in results[1::2]] == ["1 is odd", "3 is odd", "5 is odd"]
    assert map_files(_halve, []) == []


def test_all_errors_are_raised_together():
    assert for_each_file(_halve, [0, 2], where="here") == [0, 1]
    with pytest.raises(InputError, match="^here has 2 problems: 1 is odd; 3 is odd.$"):
        for_each_file(_halve, range(5), where="here")
    with pytest.raises(InputError, match="^here has 25 problems: 1 is odd; .*; 39 is odd; and 5 more.$"):
        for_each_file(_halve, range(1, 51, 2), where="here")


def test_a_bar_counts_the_items(capsys):
    map_files(_halve, [0, 2, 4], progress="halving", unit="number")
    assert "halving: 100%" in capsys.readouterr().err
    map_files(_halve, [], progress="halving")
    assert capsys.readouterr().err == ""


@pytest.fixture
def interruptible():
    """Ctrl-C raises, also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("progress", ["", "working"])
def test_other_errors_and_interrupts_cancel_what_waits(progress, interruptible):
    started = []

    def work(number):
        started.append(number)
        if number == 3:
            raise OSError("disk full")
        time.sleep(0.01)

    with pytest.raises(OSError, match="disk full"):
        map_files(work, range(1000), num_threads=2, progress=progress)
    assert len(started) < 100

    started.clear()
    is_busy = threading.Event()

    def interrupted(number):
        started.append(number)
        # After all are submitted: an interrupt in the midst of taking a lock there can leave it taken (bpo-29988).
        if number == 20 and not is_busy.is_set():
            is_busy.set()
            _thread.interrupt_main()
        time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        map_files(interrupted, range(1000), num_threads=2, progress=progress)
    assert len(started) < 100
