"""A Ctrl-C waits for the end of the block, and then counts."""

import os
import signal
import threading

import h5py
import numpy as np
import pytest

from care_tf.interrupts import interrupt_held


def test_a_ctrl_c_comes_behind_the_block():
    steps = []
    with pytest.raises(KeyboardInterrupt), interrupt_held():
        for step in range(3):
            os.kill(os.getpid(), signal.SIGINT)
            steps.append(step)
    assert steps == [0, 1, 2] and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_comes_where_the_block_fails_too_and_hides_no_error_without_it():
    with pytest.raises(KeyboardInterrupt) as raised, interrupt_held():
        os.kill(os.getpid(), signal.SIGINT)
        raise OSError("no room")
    assert isinstance(raised.value.__context__, OSError)
    with pytest.raises(OSError), interrupt_held():
        raise OSError("no room")


def test_an_ignored_ctrl_c_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupt_held():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_hold_nothing_back():
    inside = []

    def work():
        with interrupt_held():
            inside.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [signal.default_int_handler]


def test_a_file_of_hdf5_is_written_to_its_end(tmp_path):
    """Many attributes, as a Keras file has, and a Ctrl-C every tenth of a millisecond."""
    stop = threading.Event()

    def interrupt():
        while not stop.wait(1e-4):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    with pytest.raises(KeyboardInterrupt), interrupt_held():
        thread.start()
        try:
            with h5py.File(tmp_path / "weights.h5", "w") as file:
                for number in range(300):
                    file.create_dataset(str(number), data=np.full(3, number)).attrs["name"] = f"layer {number}"
        finally:
            stop.set()
            thread.join()
    with h5py.File(tmp_path / "weights.h5") as file:
        assert [file[str(number)].attrs["name"] for number in (0, 299)] == ["layer 0", "layer 299"]
