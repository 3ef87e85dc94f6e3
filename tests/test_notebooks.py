"""The notebooks of docs/ run, and are committed with their pictures."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools" / "docs"))
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook, tmp_path, monkeypatch):
    pytest.importorskip("nbclient", reason="needs requirements-docs.txt")
    from notebook_run import executed

    # The kernel draws into the notebook, and finds the package of this checkout from any folder.
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ran = executed(notebook, str(tmp_path))
    assert pictures(ran) == pictures(json.loads(notebook.read_text(encoding="utf-8")))


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
