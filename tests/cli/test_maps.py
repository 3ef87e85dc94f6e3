"""What `care maps` hands to the runs; what becomes of it is tested in tests/runs."""

from pathlib import Path

import pytest

from care_tf.cli.maps import maps
from care_tf.files import atomic_path


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """What was to be drawn, of the finished runs a and b; instead, an empty file is written."""
    for name in ("a/config.yaml", "a/model.keras", "b/config.yaml", "b/model.keras", "m.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    calls = []

    def write(*given):
        calls.append(given)
        with atomic_path(given[1]) as temporary:
            temporary.touch()
        return ["image 1", "image 2"]

    monkeypatch.setattr("care_tf.runs.run_maps.write_run_maps", write)
    return calls


def test_every_option_arrives(run, drawn):
    options = "--output maps.png --images x,y --manifest m.csv --split test --folds 1,2 --count 3"
    assert run(maps, "a", "b", *options.split()) == (0, "wrote maps.png: 2 images, 2 runs\n", "")
    assert run(maps, "a", "--output", "more.png") == (0, "wrote more.png: 2 images, 1 runs\n", "")
    assert drawn == [
        ((Path("a"), Path("b")), Path("maps.png"), ["x", "y"], Path("m.csv"), "test", ["1", "2"], 3),
        ((Path("a"),), Path("more.png"), (), None, None, None, 6),
    ]


def test_bad_arguments_are_refused(refuses, drawn, tmp_path):
    (tmp_path / "maps.png").touch()
    assert "maps.png. Choose another one, or give --overwrite" in refuses(maps, "a", "--output", "maps.png")
    assert "none is not a run folder" in refuses(maps, "none", "--output", "new.png")
    assert "Missing argument 'RUN...'" in refuses(maps, "--output", "new.png")
    assert drawn == [] and not (tmp_path / "new.png").exists()


def test_a_folder_is_never_overwritten(refuses, drawn, tmp_path):
    assert "must be a file. Received the folder b" in refuses(maps, "a", "--output", "b", "--overwrite")
    assert (tmp_path / "b" / "config.yaml").exists()
