import json

import numpy as np
import pytest
from PIL import Image

from care_tf.cli.boxes_judge import judge
from care_tf.data.manifest import Manifest, write_manifest


@pytest.fixture
def folder(tmp_path):
    """truth.csv and made.csv of six images: class A in fold 1, class B in fold 2."""
    paths = tuple(str(tmp_path / f"{i}.png") for i in range(6))
    for path in paths:
        Image.new("RGB", (40, 30), (200, 160, 150)).save(path)
    labels, folds = np.array([0, 0, 0, 1, 1, 1]), ("1", "1", "1", "2", "2", "2")
    for name, shift, source in (("truth", 0, "ground-truth"), ("made", 10, "mine")):
        boxes = tuple(np.float32([[5 + shift, 5, 25 + shift, 20]]) for _ in paths)
        manifest = Manifest(paths, labels, ("A", "B"), boxes, folds=folds, box_sources=(source,) * 6)
        write_manifest(manifest, tmp_path / f"{name}.csv")
    return tmp_path


def test_it_writes_the_report_and_prints_the_figures(folder, run):
    code, out, err = run(
        judge, "truth.csv", "made.csv", "--output", "out/quality", "--classes", "A", "--resamples", "20"
    )
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[1] == ["A", "mine", "0.333", "[0.333,", "0.333]", "0.000", "0.500", "0.000"]
    files = sorted(path.name for path in (folder / "out" / "quality").iterdir())
    assert files == ["box_quality.csv", "box_quality.html", "box_quality.json"]


def test_folds_choose_and_what_is_missing_is_refused_or_left_out(folder, run, refuses):
    text = (folder / "made.csv").read_text().splitlines()
    (folder / "few.csv").write_text("\n".join(line for line in text if not line.startswith("4.png")) + "\n")
    arguments = ["truth.csv", "few.csv", "--output", "out", "--folds", "2"]
    assert "few.csv lacks 1 of the 3 images with true boxes: 4.png" in refuses(judge, *arguments)
    assert not (folder / "out").exists()
    _, out, _ = run(judge, *arguments, "--only-shared", "--resamples", "20", "--seed", "3")
    assert "not judged: 1 images that few.csv lacks: 4.png" in out
    written = json.loads((folder / "out" / "box_quality.json").read_text())
    assert [(own["name"], own["num_images"]) for own in written["classes"]] == [("B", 2)]
    assert (written["num_resamples"], written["seed"]) == (20, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["truth.csv", "other.csv", "--output", "out"], "There is no manifest other.csv"),
        (["truth.csv", "made.csv", "--output", "out", "--classes", "DF"], "has no class DF"),
        (["truth.csv", "made.csv", "--output", "out", "--folds", "9"], "has no fold 9"),
        (["truth.csv", "made.csv", "--output", "truth.csv/x"], "cannot be written"),
        (["truth.csv", "made.csv", "--output", "out", "--resamples", "0"], "0 is not in the range x>=1"),
    ],
)
def test_bad_arguments_are_refused(folder, refuses, arguments, message):
    assert message in refuses(judge, *arguments)
