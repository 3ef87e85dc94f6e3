"""The fuzzer finds what it is for: an error that is not ours, an input that takes too long or kills its process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "fuzz" / "fuzz.py"
FAULTY = """
import os, sys, time
sys.path.insert(0, {folder!r})
import fuzz, parsers
from care_tf.errors import InputError
def read(data):
    if data == b"hang": time.sleep(60)
    read.number += 1
    if read.number == 5: raise KeyError("not ours")
    if read.number == 9: os.kill(os.getpid(), 9)
    if read.number % 2: raise InputError("Ours.")
read.number = -1
fuzz._LONGEST_WAIT_S = 2.0
fuzz._input = lambda valid, seed, number: b"hang" if number == 13 else b"a"
parsers.PARSERS.clear()
parsers.PARSERS["faulty"] = parsers.Parser(lambda folder: ([b"a 1"], read), 15)
fuzz.__file__ = __file__
sys.exit(fuzz.main())
"""


def test_faults_are_counted_kept_and_worked_on_behind(tmp_path):
    script = tmp_path / "faulty.py"
    script.write_text(FAULTY.replace("{folder!r}", repr(str(TOOL.parent))))
    command = [sys.executable, str(script), "--parsers", "faulty", "--output", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr[-2000:]
    found = json.loads((tmp_path / "out" / "faulty.json").read_text())
    assert found["inputs"] == 15 == found["accepted"] + found["refused"] + sum(found["faults"].values())
    assert any(text.startswith("KeyError") for text in found["faults"])
    assert "killed the process (-9)" in found["faults"]
    assert found["faults"]["took more than 10 s"] == 1


@pytest.mark.slow
def test_a_few_inputs_of_every_cheap_parser(tmp_path):
    names = (
        "manifest,overrides,boxes: coco,boxes: voc,boxes: yolo,ISIC tables,RSNA tables,image headers,masks,model files"
    )
    command = [sys.executable, str(TOOL), "--parsers", names, "--inputs", "60", "--output", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
