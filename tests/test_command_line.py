"""Tools end with exit code 0, or with 2 and one clear line; a defect keeps its traceback."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import quiet_tensorflow, run_tool

from care_tf.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
TOOLS = sorted(path for path in ROOT.glob("tools/*.py") if path.name != "command_line.py")


def run(tool, *arguments):
    # Without the log level that conftest sets: a tool has to keep TensorFlow quiet by itself.
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.run(
        [sys.executable, str(tool), *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def said(result):
    """What the tool itself wrote to stderr: TensorFlow 2.21 logs a few lines before it reads its log level."""
    lines = result.stderr.splitlines()
    return [line for line in lines if not re.match(r"[IWE]\d{4} |WARNING: All log messages before absl", line)]


def exit_code(main):
    with pytest.raises(SystemExit) as exit_info:
        run_tool(main)
    return exit_info.value.code


def test_arguments_are_those_after_the_name_and_success_returns(monkeypatch):
    received = []
    monkeypatch.setattr(sys, "argv", ["tool.py", "--output", "here"])
    run_tool(received.extend)
    assert received == ["--output", "here"]


def test_bad_input_is_one_line_and_exit_code_2(capsys):
    def main(argv):
        raise InputError("no such class: DF")

    assert exit_code(main) == 2
    assert capsys.readouterr() == ("", "error: no such class: DF\n")


def test_ctrl_c_is_exit_code_130(capsys):
    def main(argv):
        raise KeyboardInterrupt

    assert exit_code(main) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("defect", [ValueError, KeyError, OSError])
def test_a_defect_keeps_its_traceback(defect):
    def main(argv):
        raise defect("not the user's fault")

    with pytest.raises(defect, match="not the user's fault"):
        run_tool(main)


def test_a_chosen_log_level_is_kept(monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    quiet_tensorflow()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "2"
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    quiet_tensorflow()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_tool_has_help_and_nothing_else_to_say(tool):
    result = run(tool, "--help")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"usage: {tool.name}")
    assert said(result) == []


def test_make_synthetic_writes_a_set(tmp_path):
    result = run(ROOT / "tools/make_synthetic.py", "--output", str(tmp_path / "lesions"), "--size-px", "32")
    assert (result.returncode, said(result)) == (0, [])
    assert result.stdout == f"{tmp_path / 'lesions' / 'manifest.csv'} lists 1204 images\n"
    assert len(list(tmp_path.glob("lesions/images/*.jpg"))) == 1204


def test_make_synthetic_refuses_bad_input_in_one_line(tmp_path):
    (tmp_path / "thesis.txt").touch()
    result = run(ROOT / "tools/make_synthetic.py", "--output", str(tmp_path), "--force")
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = said(result)
    assert line.startswith("error: force replaces only a folder of synthetic lesions")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
