import json

import numpy as np
import pytest
from PIL import Image

from care_tf.cli.prepare_folders import folders
from care_tf.data import read_manifest


@pytest.fixture
def images(tmp_path):
    """Writes images of four patients of two classes below a folder of tmp_path, and boxes.csv."""

    def write(folder):
        for number in range(4):
            for name in ("common", "rare"):
                path = tmp_path / folder / name / f"p{number}_{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((10, 20, 3), 90, np.uint8)).save(path)

    write("images")
    write("splits/train")
    write("splits/val")
    (tmp_path / "boxes.csv").write_text("image,x0,y0,x1,y1\nrare/p1_rare.png,1,2,5,6\n")
    return tmp_path


def test_folders_become_a_manifest_with_folds(images, run):
    words = ["--root", "images", "--boxes", "boxes.csv", "--output", "out", "--group-pattern", r"p\d", "--num-folds", 2]
    code, out, err = run(folders, *words)
    assert code == 0, err
    assert "1 annotated images, 1 of them in the manifest: 1 got 1 boxes" in out and "of its own" not in out
    manifest = read_manifest(images / "out" / "manifest.csv")
    assert manifest.class_counts == {"common": 4, "rare": 4} and manifest.has_boxes.sum() == 1
    fold_of = dict(zip(manifest.groups, manifest.folds, strict=True))
    assert sorted(fold_of) == ["p0", "p1", "p2", "p3"] and sorted(fold_of.values()) == ["1", "1", "2", "2"]
    assert [fold_of[group] for group in manifest.groups] == list(manifest.folds)
    assert (images / "out" / "contact_sheet.png").exists()


def test_splits_take_the_place_of_folds(images, run, refuses):
    code, out, _ = run(folders, "--root", "splits", "--output", "out")
    assert code == 0 and "every image is a patient or lesion of its own" in out
    manifest = read_manifest(images / "out" / "manifest.csv")
    assert set(manifest.splits) == {"train", "validation"} and set(manifest.folds) == {""}
    assert "--overwrite" in refuses(folders, "--root", "splits", "--output", "out")


def test_what_cannot_be_read_leaves_nothing_behind(images, refuses):
    (images / "bad.json").write_text(json.dumps({"images": []}))
    assert "at least two" in refuses(folders, "--root", images / "images" / "rare", "--output", "out")
    assert "no known annotation format" in refuses(
        folders, "--root", "images", "--boxes", "bad.json", "--output", "out"
    )
    assert "fewer than 5 folds" in refuses(folders, "--root", "images", "--output", "out")
    assert not (images / "out").exists()
