"""A Ctrl-C waits for the end of a block, and then counts; what reads and writes weights is such a block."""

import os
import re
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from care_tf.errors import InputError
from care_tf.interrupts import interrupt_held, interrupt_noted
from care_tf.runs import _progress

PACKAGE = Path(__file__).resolve().parents[1] / "care_tf"
pytestmark = pytest.mark.usefixtures("interruptible")


def press():
    os.kill(os.getpid(), signal.SIGINT)


def test_a_ctrl_c_comes_after_the_block():
    steps = []
    with pytest.raises(KeyboardInterrupt), interrupt_held():
        press()
        steps.append("after it")
    assert steps and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_one_comes_at_once():
    steps = []
    with pytest.raises(KeyboardInterrupt), interrupt_held():
        press()
        steps.append("first")
        press()
        steps.append("second")
    assert steps == ["first"]


def test_the_outer_of_two_blocks_holds_it():
    steps = []
    with pytest.raises(KeyboardInterrupt), interrupt_held():
        with interrupt_held():
            press()
        steps.append("after the inner")
    assert steps


def test_it_comes_where_the_block_fails_too_and_hides_no_error_without_it():
    with pytest.raises(KeyboardInterrupt) as raised, interrupt_held():
        press()
        raise OSError("no room")
    assert isinstance(raised.value.__context__, OSError)
    with pytest.raises(OSError), interrupt_held():
        raise OSError("no room")


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: None])
def test_an_applications_own_handler_stays(handler):
    signal.signal(signal.SIGINT, handler)
    with interrupt_held():
        press()
        assert signal.getsignal(signal.SIGINT) is handler
    assert signal.getsignal(signal.SIGINT) is handler


def test_other_threads_hold_nothing_back():
    inside = []

    def work():
        with interrupt_held():
            inside.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [signal.default_int_handler]


def test_it_is_noted_and_held_within_that():
    came, steps = [], []
    with pytest.raises(KeyboardInterrupt), interrupt_noted(came):
        with interrupt_held():
            press()
            steps.append("held")
        steps.append("not reached")
    assert came == [signal.SIGINT] and steps == ["held"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(ValueError), interrupt_noted(came := []):
        raise ValueError("of its own")
    assert came == []


def fails_within_hdf5(*_):
    raise TypeError("Operation not defined for data type class")


def pressed_within_hdf5(*_):
    """What a Ctrl-C at a bad moment became within h5py."""
    press()
    fails_within_hdf5()


def test_a_checkpoint_is_interrupted_not_broken(tmp_path, monkeypatch):
    monkeypatch.setattr(_progress, "save_weights", pressed_within_hdf5)
    with pytest.raises(KeyboardInterrupt):
        _progress.Progress([]).write(tmp_path, SimpleNamespace())
    file = tmp_path / "1-1.weights.h5"
    with pytest.raises(KeyboardInterrupt):
        _progress.load_checkpoint(SimpleNamespace(load_weights=pressed_within_hdf5), file)
    with pytest.raises(InputError, match="cannot be loaded: TypeError: Operation not defined"):
        _progress.load_checkpoint(SimpleNamespace(load_weights=fails_within_hdf5), file)


def test_the_epoch_whose_checkpoint_it_waited_for_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(_progress, "save_weights", lambda model, path: (press(), path.write_bytes(b"")))
    with pytest.raises(KeyboardInterrupt):
        _progress.Progress([]).write(tmp_path, SimpleNamespace())
    assert {path.name for path in _progress.last_epoch(tmp_path).iterdir()} == {"1-0.weights.h5", "progress.json"}


def test_a_file_of_hdf5_is_written_to_its_end(tmp_path):
    with pytest.raises(KeyboardInterrupt), interrupt_held(), h5py.File(tmp_path / "weights.h5", "w") as file:
        for number in range(30):
            file.create_dataset(str(number), data=np.full(3, number)).attrs["name"] = f"layer {number}"
            if number == 10:
                press()
    with h5py.File(tmp_path / "weights.h5") as file:
        assert [file[str(number)].attrs["name"] for number in (0, 29)] == ["layer 0", "layer 29"]


def test_whatever_reads_or_writes_weights_holds_it():
    """By the text; `care_tf.load_model` is the user's own call."""
    opens = re.compile(r"(keras\.(models|saving)\.load_model|\.load_weights|h5py\.File|(network|classifier)\.save)\(")
    texts = {path: re.sub('""".*?"""', "", path.read_text(), flags=re.S) for path in PACKAGE.rglob("*.py")}
    files = [path for path, text in texts.items() if opens.search(text)]
    assert len(files) > 6
    assert {path.name for path in files if "interrupt_held()" not in texts[path]} == {"care_model.py"}
