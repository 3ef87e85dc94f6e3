import csv
import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from care_tf.data import read_manifest

_ROOT = Path(__file__).parents[2]
_CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")


def _run(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    command = [sys.executable, "tools/prepare_isic2018.py", *map(str, arguments)]
    return subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True)


def _table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)


def _download(root):
    """Two images of every class, each a lesion of its own, 40 x 30 px."""
    names = [f"ISIC_{i:02d}" for i in range(14)]
    truth = "ISIC2018_Task3_Training_GroundTruth"
    one_hot = [[name, *(int(i % 7 == column) for column in range(7))] for i, name in enumerate(names)]
    _table(root / truth / f"{truth}.csv", [["image", *_CLASSES], *one_hot])
    groups = [["image", "lesion_id"], *([name, f"lesion_{name}"] for name in names)]
    _table(root / "ISIC2018_Task3_Training_LesionGroupings.csv", groups)
    for folder in ("ISIC2018_Task3_Training_Input", "HAM10000_segmentations_lesion_tschandl"):
        (root / folder).mkdir()
    region = np.zeros((30, 40), np.uint8)
    region[5:15, 10:30] = 255
    for name in names:
        Image.new("RGB", (40, 30), (200, 160, 150)).save(root / "ISIC2018_Task3_Training_Input" / f"{name}.jpg")
        mask = root / "HAM10000_segmentations_lesion_tschandl" / f"{name}_segmentation.png"
        Image.fromarray(region).save(mask)


def test_it_writes_a_manifest_and_a_picture_of_the_boxes(tmp_path):
    _download(tmp_path / "download")
    output = tmp_path / "new" / "prepared"
    done = _run("--root", tmp_path / "download", "--output", output, "--num-folds", 2)
    assert done.returncode == 0, done.stderr
    assert ["DF", "2", "2", "2"] in [line.split() for line in done.stdout.splitlines()]
    manifest = read_manifest(output / "manifest.csv")
    assert manifest.class_counts == dict.fromkeys(sorted(_CLASSES), 2)
    assert sorted(manifest.folds) == ["1"] * 7 + ["2"] * 7
    assert [boxes.tolist() for boxes in manifest.boxes if len(boxes)] == [[[10, 5, 30, 15]]] * 2
    sheet = np.asarray(Image.open(output / "contact_sheet.png")).astype(int)
    assert sheet.shape == (216, 400, 3)
    rows, columns = np.nonzero((sheet[:, :200, 1] > 200) & (sheet[:, :200, 0] < 40))  # the box, five times enlarged
    assert (columns.min(), columns.max() + 1) == (50, 150)
    assert (rows.min() - 16, rows.max() + 1 - 16) == (25, 75)
    assert sorted(path.name for path in output.iterdir()) == ["contact_sheet.png", "manifest.csv"]


def test_a_wrong_folder_is_one_line_and_exit_code_2(tmp_path):
    done = _run("--root", tmp_path, "--output", tmp_path / "out")
    assert done.returncode == 2
    message = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(message) == 1
    assert "is not an ISIC 2018 task 3 download" in message[0]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_lesion_masks_for_every_image_instead_of_boxes(tmp_path):
    _download(tmp_path / "download")
    done = _run("--root", tmp_path / "download", "--output", tmp_path, "--num-folds", 2, "--lesion-masks")
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(tmp_path / "manifest.csv")
    assert all(Path(path).name.endswith("_segmentation.png") for path in manifest.mask_paths)
    assert not any(len(boxes) for boxes in manifest.boxes)


def test_task_1_has_masks_and_no_classes(tmp_path):
    images, masks = tmp_path / "ISIC2018_Task1-2_Training_Input", tmp_path / "ISIC2018_Task1_Training_GroundTruth"
    images.mkdir()
    masks.mkdir()
    region = np.zeros((30, 40), np.uint8)
    region[5:15, 10:30] = 255
    Image.new("RGB", (40, 30), (200, 160, 150)).save(images / "ISIC_0000001.jpg")
    Image.fromarray(region).save(masks / "ISIC_0000001_segmentation.png")
    done = _run("--task", 1, "--root", tmp_path, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_manifest(tmp_path / "manifest.csv").class_counts == {"lesion": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "1", "--box-scale", "2", "--folds", "f"], "--task 1 gives masks and takes no --box-scale, --folds"),
        (["--lesion-masks", "--box-classes", "DF"], "--lesion-masks gives masks and takes no --box-classes"),
        (["--task", "1", "--seed", "-1"], "--seed must lie in"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(capsys, monkeypatch, arguments, message):
    monkeypatch.syspath_prepend(str(_ROOT / "tools"))
    main = importlib.import_module("prepare_isic2018").main
    with pytest.raises(SystemExit, match="2"):
        main(["--root", "download", "--output", "out", *arguments])
    assert message in capsys.readouterr().err
