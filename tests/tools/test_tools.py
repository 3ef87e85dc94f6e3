"""The scripts in tools/ are commands of `care`, and run from a checkout by themselves."""

import ast
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = sorted(ROOT.glob("tools/*.py"))


def run(*words, folder=ROOT):
    # Without the log level that conftest sets: a tool has to keep TensorFlow quiet by itself.
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_tool_has_help_and_nothing_else_to_say(tool, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(tool), "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(tool), run_name="__main__")
    out, err = capsys.readouterr()
    assert (stopped.value.code, err) == (0, "")
    assert out.startswith(f"Usage: tools/{tool.name} ")


def test_the_names_of_the_tools_stay():
    assert [tool.stem for tool in TOOLS] == [
        *("compare", "demo", "evaluate", "export", "export_boxes", "import_boxes", "judge_boxes", "make_boxes"),
        *("make_synthetic", "predict", "prepare_isic2018", "prepare_rsna", "review_boxes", "train"),
        "train_segmentation",
    ]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_tool_does_nothing_by_itself(tool):
    docstring, imported, guarded = ast.parse(tool.read_text()).body
    assert isinstance(docstring, ast.Expr) and isinstance(imported, ast.ImportFrom) and isinstance(guarded, ast.If)


def test_a_tool_works_from_another_folder(tmp_path):
    result = run(ROOT / "tools/make_synthetic.py", "--output", "lesions", "--image-size", "32", folder=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "lesions/manifest.csv lists 1204 images\n"
    assert len(list(tmp_path.glob("lesions/images/*.jpg"))) == 1204


def test_bad_input_is_one_line_and_nothing_is_lost(tmp_path):
    (tmp_path / "thesis.txt").touch()
    result = run(ROOT / "tools/make_synthetic.py", "--output", tmp_path, "--overwrite")
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: overwrite replaces only a folder of synthetic lesions")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_module_is_the_command_too():
    result = run("-m", "care_tf", "boxes", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: python -m care_tf boxes ")
