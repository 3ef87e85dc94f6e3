"""The notebooks of docs/ run, and are committed with their pictures."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools" / "docs"))
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


SHORT = [
    (r"\bepochs=\d+", "epochs=2"),
    (r"\bpretrain_epochs=\d+", "pretrain_epochs=1"),
    (r"\bepochs: \d+", "epochs: 1"),
    (r"\btrain_counts=\([^)]*\)", "train_counts=(8, 6, 6, 5)"),
    (r"\btest_counts=\([^)]*\)", "test_counts=(4, 4, 4, 5)"),
    (r"\bnum_resamples=\d+", "num_resamples=20"),
]


# Tracing would take most of the time of fits as short as these. `make notebooks` traces, and writes what is committed.
EAGER = "import tensorflow as tf\ntf.config.run_functions_eagerly(True)"


@pytest.mark.slow
def test_the_notebooks_run(tmp_path, monkeypatch):
    """One after the other in one kernel, without each other's names, with fewer epochs and images, and not traced."""
    nbformat = pytest.importorskip("nbformat", reason="needs requirements-docs.txt")
    from notebook_run import executed

    # The kernel draws into the notebook, and finds the package of this checkout from any folder.
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    all_of_them, committed = nbformat.v4.new_notebook(), []
    for path in NOTEBOOKS:
        (tmp_path / path.stem).mkdir()
        start = nbformat.v4.new_code_cell(f"{EAGER}\n%cd -q {tmp_path / path.stem}\n%reset -f")
        committed += [start, *nbformat.read(path, as_version=4).cells]
    for cell in committed:
        source = cell.source
        if cell.cell_type == "code":
            for pattern, shorter in SHORT:
                source = re.sub(pattern, shorter, source)
        all_of_them.cells.append(nbformat.v4.new_code_cell(source) if cell.cell_type == "code" else cell)
    assert pictures(executed(all_of_them, str(tmp_path))) == pictures({"cells": committed})


def pictures(notebook):
    """Which cells draw."""
    return [
        number
        for number, cell in enumerate(notebook["cells"])
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
    ]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_shows_what_it_drew(notebook):
    assert notebook.stat().st_size < 500_000 and pictures(json.loads(notebook.read_text(encoding="utf-8")))
