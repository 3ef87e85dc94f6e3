import io
import json
import re

import numpy as np
import pytest
from downloads import write_dicom, write_table
from PIL import Image

from care_tf.cli.prepare_rsna import rsna
from care_tf.data import read_manifest

pytest.importorskip("pydicom")

from pydicom import uid

_CLASSES = ("Normal", "No Lung Opacity / Not Normal", "Lung Opacity")


def _write_dicom(path, pixels, patient):
    """Writes uint8 (H,W) as the challenge has it: JPEG baseline."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    entries = {"PatientID": patient, "PatientName": "Doe^Jane", "PatientSex": "F"}
    write_dicom(path, pixels, syntax=uid.JPEGBaseline8Bit, frames=[file.getvalue()], **entries)


@pytest.fixture
def download(tmp_path):
    """Three images of every class, 100 x 80 px; Lung Opacity has two boxes, bright in the image, one over its edge."""
    root = tmp_path / "download"
    folder = root / "stage_2_train_images"
    folder.mkdir(parents=True)
    labels, classes = [["patientId", "x", "y", "width", "height", "Target"]], [["patientId", "class"]]
    for i in range(9):
        pixels = np.full((80, 100), 40, np.uint8)
        if i % 3 == 2:
            pixels[10:30, 20:60], pixels[50:, 80:] = 220, 220
            labels += [[f"x{i}", "20.0", "10.0", "40.0", "20.0", "1"], [f"x{i}", "80.0", "50.0", "40.0", "30.0", "1"]]
            classes += [[f"x{i}", _CLASSES[2]]] * 2
        else:
            labels.append([f"x{i}", "", "", "", "", "0"])
            classes.append([f"x{i}", _CLASSES[i % 3]])
        _write_dicom(folder / f"x{i}.dcm", pixels, f"secret-{i}")
    for name, rows in (("stage_2_train_labels.csv", labels), ("stage_2_detailed_class_info.csv", classes)):
        write_table(root / name, rows)
    return root


def test_it_writes_images_a_manifest_and_a_picture_of_the_boxes(download, tmp_path, run):
    output = tmp_path / "new" / "prepared"
    code, out, _ = run(rsna, "--root", download, "--output", output, "--image-size", 50, "--num-folds", 3, "--at-most")
    assert code == 0 and "Lung Opacity: 105 asked for, 3 taken" in out
    assert "Lung Opacity           3       3       3" in out
    assert sorted(path.name for path in output.iterdir()) == ["contact_sheet.png", "images", "manifest.csv"]
    manifest = read_manifest(output / "manifest.csv", class_names=_CLASSES)
    assert manifest.class_counts == dict.fromkeys(_CLASSES, 3)
    assert sorted(manifest.folds) == ["1"] * 3 + ["2"] * 3 + ["3"] * 3
    assert manifest.groups == tuple(f"x{i}" for i in range(9))
    assert [boxes.tolist() for boxes in manifest.boxes if len(boxes)] == [[[10, 5, 30, 15], [40, 25, 50, 40]]] * 3
    image = np.asarray(Image.open(manifest.image_paths[2])).astype(float)
    assert image.shape == (40, 50)
    assert image[6:14, 11:29].min() > 200 and image[26:, 41:].min() > 200 and image[:4].max() < 60
    written = [path.read_bytes() for path in output.rglob("*") if path.is_file()] + [out.encode()]
    assert not any(word in content for content in written for word in (b"Doe", b"secret"))


def test_it_goes_on_where_it_stopped(download, tmp_path, run, refuses):
    output, broken = tmp_path / "out", download / "stage_2_train_images" / "x4.dcm"
    content = broken.read_bytes()
    broken.write_bytes(content[:-100])
    arguments = ["--root", str(download), "--output", str(output), "--num-folds", "2", "--at-most"]
    code, _, err = run(rsna, *arguments)  # and a progress bar
    assert code == 2 and re.search("error: .* has 1 problem: .*x4.dcm: The ", err)
    assert sorted(path.name for path in output.iterdir()) == ["images"]
    assert len(list((output / "images").iterdir())) == 8

    with pytest.warns(UserWarning, match="left out 1 of 9 images: .*x4.dcm"):
        run(rsna, *arguments, "--skip-failed")
    assert len(read_manifest(output / "manifest.csv")) == 8

    broken.write_bytes(content)
    kept = {path: path.stat().st_mtime_ns for path in (output / "images").iterdir()}
    assert "--overwrite" in refuses(rsna, *arguments)  # that manifest may have been edited since
    run(rsna, *arguments, "--overwrite")
    assert len(read_manifest(output / "manifest.csv")) == 9
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_the_paper_s_numbers_are_the_default(download, tmp_path, monkeypatch, run):
    monkeypatch.setattr("care_tf.datasets.rsna.PAPER_IMAGES_PER_CLASS", {"Normal": 2})
    arguments = ["--root", str(download), "--num-folds", "2", "--workers", "1", "--output"]
    run(rsna, *arguments, tmp_path / "some")
    assert read_manifest(tmp_path / "some" / "manifest.csv").class_counts["Normal"] == 2
    run(rsna, *arguments, tmp_path / "all", "--all")
    assert read_manifest(tmp_path / "all" / "manifest.csv").class_counts["Normal"] == 3


def test_fewer_images_than_asked_for_are_refused_and_images_without_patients_are_told(download, tmp_path, run, refuses):
    arguments = ["--root", str(download), "--output", str(tmp_path / "out"), "--num-folds", "2"]
    message = refuses(rsna, *arguments)
    assert "Received 3 of 8,851 Normal, 3 of 6,012 No Lung" in message and "--at-most" in message
    assert not (tmp_path / "out").exists()
    for path in (download / "stage_2_train_images").iterdir():
        _write_dicom(path, np.full((80, 100), 40, np.uint8), "")
    assert "warning: every image is a group of its own" in run(rsna, *arguments, "--at-most")[2]


def test_images_of_a_patient_of_the_mapping_share_a_fold(download, tmp_path, run):
    mapping = [{"subset_img_id": f"x{i}", "img_id": f"{i % 6:08d}_{i:03d}.png"} for i in range(9)]
    (tmp_path / "mapping.json").write_text(json.dumps(mapping))
    output = tmp_path / "out"
    arguments = ["--root", str(download), "--output", str(output), "--num-folds", "2", "--all"]
    run(rsna, *arguments, "--mapping", tmp_path / "mapping.json")
    manifest = read_manifest(output / "manifest.csv")
    assert manifest.groups[:3] == manifest.groups[6:] == ("00000000", "00000001", "00000002")
    assert manifest.folds[:3] == manifest.folds[6:]


def test_the_paper_s_split_by_image_says_how_many_patients_it_tears(download, tmp_path, run, monkeypatch):
    monkeypatch.setattr("care_tf.datasets._download._PAPER_TEST_FRACTION", 1 / 3)
    mapping = [{"subset_img_id": f"x{i}", "img_id": f"{i % 3:08d}_{i:03d}.png"} for i in range(9)]
    (tmp_path / "mapping.json").write_text(json.dumps(mapping))  # one patient for all images of a class
    (tmp_path / "folds.csv").write_text("patientId,fold\n" + "".join(f"x{i},1\n" for i in range(9)))
    arguments = [
        "--root",
        download,
        "--output",
        "out",
        "--mapping",
        "mapping.json",
        "--folds-file",
        "folds.csv",
        "--all",
    ]
    with pytest.warns(UserWarning, match="^3 of 3 groups have images in train and in test: this split leaks"):
        run(rsna, *arguments, "--split", "image", "--all")
    manifest = read_manifest(tmp_path / "out" / "manifest.csv")
    assert sorted(manifest.splits) == ["test"] * 3 + ["train"] * 6
    assert sorted(label for label, name in zip(manifest.labels, manifest.splits, strict=True) if name == "test") == [
        0,
        1,
        2,
    ]


def test_bad_input_is_refused_before_anything_is_written(tmp_path, refuses):
    arguments = ["--root", tmp_path, "--output", tmp_path / "out"]
    assert "is not an RSNA Pneumonia Detection Challenge download" in refuses(rsna, *arguments)
    for option, message in (
        (["--num-folds", "0"], "0 is not in the range x>=2"),
        (["--image-size", "0"], "It must be N or HEIGHTxWIDTH"),
        (["--image-size", "300x200"], "must be one number here: it is the longer side. Received 300x200"),
        (["--workers", "0"], "0 is not in the range x>=1"),
    ):
        assert message in refuses(rsna, *arguments, *option)
    assert not (tmp_path / "out").exists()
