from pathlib import Path

import numpy as np
import pytest
from downloads import ISIC2018_CLASSES, write_isic2018, write_table
from PIL import Image

from care_tf.cli.prepare_isic2018 import isic2018
from care_tf.data import read_manifest


def _download(root):
    """Two images of every class, each a lesion of its own, 40 x 30 px."""
    region = np.zeros((30, 40), np.uint8)
    region[5:15, 10:30] = 255
    return write_isic2018(root, ISIC2018_CLASSES * 2, [f"lesion_{i}" for i in range(14)], [region] * 14)


def test_it_writes_a_manifest_and_a_picture_of_the_boxes(tmp_path, run):
    _download(tmp_path / "download")
    output = tmp_path / "new" / "prepared"
    code, out, _ = run(isic2018, "--root", "download", "--output", output, "--num-folds", 2)
    assert code == 0
    assert ["DF", "2", "2", "2"] in [line.split() for line in out.splitlines()]
    manifest = read_manifest(output / "manifest.csv")
    assert manifest.class_counts == dict.fromkeys(sorted(ISIC2018_CLASSES), 2)
    assert sorted(manifest.folds) == ["1"] * 7 + ["2"] * 7
    assert [boxes.tolist() for boxes in manifest.boxes if len(boxes)] == [[[10, 5, 30, 15]]] * 2
    sheet = np.asarray(Image.open(output / "contact_sheet.png")).astype(int)
    assert sheet.shape == (216, 400, 3)
    rows, columns = np.nonzero((sheet[:, :200, 1] > 200) & (sheet[:, :200, 0] < 40))  # the box, five times enlarged
    assert (columns.min(), columns.max() + 1) == (50, 150)
    assert (rows.min() - 16, rows.max() + 1 - 16) == (25, 75)
    assert sorted(path.name for path in output.iterdir()) == ["contact_sheet.png", "manifest.csv"]


def test_a_wrong_folder_is_one_line_and_exit_code_2(tmp_path, refuses):
    assert "is not an ISIC 2018 task 3 download" in refuses(isic2018, "--root", tmp_path, "--output", "out")
    assert not (tmp_path / "out").exists()


def test_an_edited_manifest_is_replaced_only_when_told(tmp_path, run, refuses):
    _download(tmp_path / "download")
    table, words = tmp_path / "out" / "manifest.csv", ["--root", "download", "--output", "out", "--num-folds", 2]
    table.parent.mkdir()
    table.write_text("edited")
    assert "Received out/manifest.csv. Choose another one, or give --overwrite." in refuses(isic2018, *words)
    assert [path.read_text() for path in table.parent.iterdir()] == ["edited"]
    assert run(isic2018, *words, "--overwrite")[0] == 0 and len(read_manifest(table)) == 14


@pytest.mark.parametrize(
    ("options", "classes"),
    [
        (["--box-classes", "DF", "VASC", "AKIEC"], {"DF", "VASC", "AKIEC"}),
        (["--box-classes", "DF,VASC"], {"DF", "VASC"}),
        (["--box-classes"], set()),
        ([], {"DF"}),
    ],
)
def test_box_classes_are_words_or_a_list_or_none(tmp_path, run, options, classes):
    _download(tmp_path / "download")
    code, _, err = run(isic2018, *options, "--root", "download", "--output", "out", "--num-folds", 2)
    assert code == 0, err
    manifest = read_manifest(tmp_path / "out" / "manifest.csv")
    labels = [manifest.class_names[label] for label in manifest.labels]
    assert {label for label, boxes in zip(labels, manifest.boxes, strict=True) if len(boxes)} == classes


def test_folds_come_from_a_file(tmp_path, run):
    ids = _download(tmp_path / "download")
    write_table(tmp_path / "folds.csv", [["image", "fold"], *([name, "ab"[i % 2]] for i, name in enumerate(ids))])
    for name in ("--folds-file", "--folds"):  # the second is how it was called
        assert run(isic2018, "--root", "download", "--output", "out", name, "folds.csv", "--overwrite")[0] == 0
        assert read_manifest(tmp_path / "out" / "manifest.csv").folds == ("a", "b") * 7


def test_the_paper_s_split_by_image_says_how_many_lesions_it_tears(tmp_path, run):
    region = np.zeros((30, 40), np.uint8)
    region[5:15, 10:30] = 255
    lesions = [f"lesion_{i}" for i in range(10)]  # of five images each, which no split of a fifth leaves in one piece
    write_isic2018(tmp_path / "download", ["DF"] * 25 + ["NV"] * 25, np.repeat(lesions, 5), [region] * 50)
    arguments = ["--root", "download", "--num-folds", 2, "--seed", 3]
    with pytest.warns(UserWarning, match="of 10 groups have images in train and in test: this split leaks") as caught:
        assert run(isic2018, *arguments, "--output", "by_image", "--split", "image")[0] == 0
    manifest = read_manifest(tmp_path / "by_image" / "manifest.csv")
    splits, groups = np.array(manifest.splits), np.array(manifest.groups)
    torn = [name for name in lesions if len(set(splits[groups == name])) == 2]
    assert str(caught[0].message).startswith(f"{len(torn)} of 10 groups") and torn
    for label in (0, 1):
        assert (splits[manifest.labels == label] == "test").sum() == 5
    assert run(isic2018, *arguments, "--output", "by_group")[0] == 0
    by_group = read_manifest(tmp_path / "by_group" / "manifest.csv")
    assert by_group.folds == manifest.folds and set(by_group.splits) == {""}


def test_lesion_masks_for_every_image_instead_of_boxes(tmp_path, run):
    _download(tmp_path / "download")
    assert run(isic2018, "--root", "download", "--output", ".", "--num-folds", 2, "--lesion-masks")[0] == 0
    manifest = read_manifest(tmp_path / "manifest.csv")
    assert all(Path(path).name.endswith("_segmentation.png") for path in manifest.mask_paths)
    assert not any(len(boxes) for boxes in manifest.boxes)


def test_task_1_has_masks_and_no_classes(tmp_path, run):
    images, masks = tmp_path / "ISIC2018_Task1-2_Training_Input", tmp_path / "ISIC2018_Task1_Training_GroundTruth"
    images.mkdir()
    masks.mkdir()
    region = np.zeros((30, 40), np.uint8)
    region[5:15, 10:30] = 255
    Image.new("RGB", (40, 30), (200, 160, 150)).save(images / "ISIC_0000001.jpg")
    Image.fromarray(region).save(masks / "ISIC_0000001_segmentation.png")
    assert run(isic2018, "--task", 1, "--root", ".", "--output", ".")[0] == 0
    assert read_manifest(tmp_path / "manifest.csv").class_counts == {"lesion": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "1", "--box-scale", "2", "--folds-file", "f"], "takes no --box-scale, --folds-file"),
        (["--task", "1", "--split", "image"], "--task 1 gives masks and takes no --split"),
        (["--lesion-masks", "--box-classes", "DF"], "--lesion-masks gives masks and takes no --box-classes"),
        (["--task", "1", "--seed", "-1"], "Invalid value for '--seed'"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(refuses, arguments, message):
    assert message in refuses(isic2018, "--root", "download", "--output", "out", *arguments)
