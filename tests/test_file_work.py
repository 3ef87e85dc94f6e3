import _thread
import itertools
import threading
import time
from types import SimpleNamespace

import pytest

from care_tf import file_work
from care_tf.errors import InputError
from care_tf.file_work import for_each_file, map_files, results_in_threads, work_on_chunks


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
        if number == 20 and not is_busy.is_set():
            is_busy.set()
            _thread.interrupt_main()
        time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        map_files(interrupted, range(1000), num_threads=2, progress=progress)
    assert len(started) < 100


@pytest.mark.parametrize("delay_s", [0.0, 0.0002, 0.001, 0.003])
def test_an_interrupt_at_any_moment_ends_the_work_and_leaves_no_thread(interruptible, delay_s):
    def interrupt():
        time.sleep(delay_s)
        _thread.interrupt_main()

    before = _thread._count()
    for _ in range(40):
        with pytest.raises(KeyboardInterrupt):
            _thread.start_new_thread(interrupt, ())
            map_files(lambda number: number, range(3000), num_threads=4)
            while True:  # where all of it was done before
                time.sleep(0.0005)
    deadline = time.monotonic() + 5
    while _thread._count() > before and time.monotonic() < deadline:  # the last ones may be about to end
        time.sleep(0.001)
    assert _thread._count() <= before


def test_results_are_worked_on_ahead_and_no_further():
    begun = []
    results = results_in_threads(lambda number: begun.append(number) or -number, range(100), num_threads=3, ahead=10)
    assert [next(results) for _ in range(5)] == [0, -1, -2, -3, -4]
    deadline = time.monotonic() + 5
    while len(begun) < 14 and time.monotonic() < deadline:
        time.sleep(0.001)
    results.close()
    assert sorted(begun) == list(range(14))


def test_of_several_errors_the_first_in_order_is_raised():
    def work(number):
        time.sleep(0.001 * (10 - number))
        raise OSError(f"item {number}")

    for _ in range(5):
        with pytest.raises(OSError, match="item 0"):
            map_files(work, range(10), num_threads=10)


@pytest.mark.parametrize("slow_chunk", [0, 4, None])
def test_files_are_read_in_threads_once_they_are_waited_for(monkeypatch, slow_chunk):
    walls = [second for chunk in range(10) for second in (0.0, 0.05 if chunk == slow_chunk else 0.015)]
    clocks = SimpleNamespace(perf_counter=iter(walls).__next__, thread_time=itertools.cycle([0.0, 0.01]).__next__)
    monkeypatch.setattr(file_work, "time", clocks)
    read = {}
    work_on_chunks(lambda start: read.setdefault(start, threading.get_ident()), range(0, 1000, 100))
    assert sorted(read) == list(range(0, 1000, 100))
    here = [start // 100 for start, thread in read.items() if thread == threading.get_ident()]
    assert here == list(range(10 if slow_chunk is None else slow_chunk + 1))
