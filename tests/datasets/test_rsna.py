import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from downloads import write_table
from hypothesis import assume, given
from hypothesis import strategies as st

from care_tf.data.augmentation import Augmentation
from care_tf.datasets.dicom import DicomHeader
from care_tf.datasets.dicom_to_png import ConvertedDicom
from care_tf.datasets.rsna import PAPER_IMAGES_PER_CLASS, RsnaImage, read_rsna, rsna_manifest
from care_tf.datasets.rsna_tables import CLASSES
from care_tf.errors import InputError
from care_tf.runs.config import load_config

_ROOT = Path(__file__).parents[2]
_HEADER = ["patientId", "x", "y", "width", "height", "Target"]


def _rows(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


@pytest.fixture
def download(tmp_path):
    """Twelve images: n0..n3 normal, o0..o3 other, p0..p3 with one to four boxes of 10 x 20 px; the files are empty."""
    labels, classes = [_HEADER], [["patientId", "class"]]
    (tmp_path / "stage_2_train_images").mkdir()
    for i in range(4):
        labels += [[f"n{i}", "", "", "", "", "0"], [f"o{i}", "", "", "", "", "0"]]
        classes += [[f"o{i}", "No Lung Opacity / Not Normal"], [f"n{i}", "Normal"]]
        labels += [[f"p{i}", f"{100.0 * k}", f"{5.0 + i}", "10.0", "20.0", "1"] for k in range(i + 1)]
        classes += [[f"p{i}", "Lung Opacity"]] * (i + 1)
        for letter in "nop":
            (tmp_path / "stage_2_train_images" / f"{letter}{i}.dcm").touch()
    write_table(tmp_path / "stage_2_train_labels.csv", labels)
    write_table(tmp_path / "stage_2_detailed_class_info.csv", classes)
    return tmp_path


def _images(names_and_labels, boxes=None):
    empty = np.zeros((0, 4))
    return [
        RsnaImage(name, f"/d/{name}.dcm", label, (boxes or {}).get(name, empty)) for name, label in names_and_labels
    ]


def _converted(patient="", size=(1024, 1024), png_size=None):
    return ConvertedDicom(DicomHeader(patient, *size), *(png_size or size))


def _deal(images, conversions, **options):
    return rsna_manifest(images, [f"/out/{image.name}.png" for image in images], conversions, **options)


def test_the_tables_become_images(download):
    images = {image.name: image for image in read_rsna(download)}
    assert list(images) == [f"{letter}{i}" for i in range(4) for letter in "nop"]
    assert [images[name].label for name in ("n2", "o2", "p2")] == list(CLASSES)
    assert images["p1"].boxes.tolist() == [[0, 6, 10, 26], [100, 6, 110, 26]]
    assert [len(image.boxes) for image in images.values()] == [0, 0, 1, 0, 0, 2, 0, 0, 3, 0, 0, 4]
    assert Path(images["o3"].dicom_path) == download / "stage_2_train_images" / "o3.dcm"


def test_the_paper_keeps_all_normal_images_and_105_with_boxes():
    """Zhuang et al. 2023, section 4.1.1."""
    assert PAPER_IMAGES_PER_CLASS == {"Normal": 8851, "No Lung Opacity / Not Normal": 6012, "Lung Opacity": 105}
    assert tuple(PAPER_IMAGES_PER_CLASS) == CLASSES


def test_images_are_drawn_per_class_under_the_seed(download):
    def names(seed=0, **caps):
        caps = {{"n": "Normal", "p": "Lung Opacity"}[letter]: number for letter, number in caps.items()}
        return [image.name for image in read_rsna(download, max_images_per_class=caps or None, seed=seed)]

    everything, some = names(), names(n=2, p=1)
    assert len(everything) == 12 and Counter(name[0] for name in some) == {"n": 2, "o": 4, "p": 1}
    assert some == [name for name in everything if name in some] == names(n=2, p=1)
    assert {name for name in names(n=2) if name[0] == "n"} == {name for name in some if name[0] == "n"}
    assert set(names(n=1)) < set(names(n=2)) < set(everything)
    assert len({tuple(names(seed, n=2, p=1)) for seed in range(20)}) > 5


def test_only_the_images_drawn_need_their_files(download):
    drawn = read_rsna(download, max_images_per_class={"Normal": 1})
    left_out = ({f"n{i}" for i in range(4)} - {image.name for image in drawn}).pop()
    (download / "stage_2_train_images" / f"{left_out}.dcm").unlink()
    assert len(read_rsna(download, max_images_per_class={"Normal": 1})) == 9
    with pytest.raises(InputError, match=rf"has 1 problem: image .*{left_out}.dcm does not exist"):
        read_rsna(download)


def test_the_mapping_names_the_patients(download):
    entries = [
        {"subset_img_id": f"{letter}{i}", "img_id": f"{i // 2:08d}_{ord(letter):03d}.png"}
        for i in range(4)
        for letter in "nop"
    ]
    mapping = download / "mapping.json"
    mapping.write_text(json.dumps(entries))
    images = read_rsna(download, mapping_file=mapping)
    assert {image.name: image.patient for image in images}["p3"] == "00000001"
    manifest = _deal(images, [_converted(image.name) for image in images], num_folds=2)
    assert set(manifest.groups) == {"00000000", "00000001"}
    assert len(set(zip(manifest.groups, manifest.folds, strict=True))) == 2
    mapping.write_text(json.dumps(entries[1:]))
    with pytest.raises(InputError, match="mapping.json has 1 problem: no entry for image n0"):
        read_rsna(download, mapping_file=mapping)
    for content, message in [('{"a": 1}', "RSNA's mapping"), ("[1]", "RSNA's mapping"), ("no JSON", "JSON: .* line 1")]:
        mapping.write_text(content)
        with pytest.raises(InputError, match=f"mapping.json is not {message}"):
            read_rsna(download, mapping_file=mapping)
    with pytest.raises(InputError, match="There is no mapping .*none.json"):
        read_rsna(download, mapping_file=download / "none.json")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["p0", 0, 5, 10, 20, 1], r"line 20: p0 occurs twice with the same box"),
        (["p0", 1, 1, 5, 5, 0], "p0 has Target 0 and another row"),
        (["n0", "", "", "", "", 0], "n0 has Target 0 and another row"),
        (["n0", 1, 1, 5, 5, 1], "n0 has Target 0 and another row"),
        (["n9", 1, 1, 5, 5, 0], "n9 has Target 0 and a box"),
        (["p9", 1, 1, "", "", 1], r"p9 has Target 1, and \['1', '1', '', ''\] is no box"),
        (["p9", 1, 1, 0, 5, 1], "p9 has the box .* must have a width and a height"),
        (["p9", 1, 1, "nan", 5, 1], "p9 has Target 1, and .* is no box of four finite numbers"),
        (["p9", 1, 1, "1e39", 5, 1], "p9 has Target 1, and .* is no box of four finite numbers"),
        (["p9", 1, 1, 5, 5, 2], "p9 has Target '2', which must be 0 or 1"),
        (["../p9", 1, 1, 5, 5, 1], "../p9 is not the name of a file"),
        (["", 1, 1, 5, 5, 1], "an empty patientId is not the name of a file"),
        (["n9", "", "", "", "", 0], "n9 is in stage_2_train_labels.csv but not in stage_2_detailed_class_info.csv"),
    ],
)
def test_bad_rows_of_the_labels_are_refused(download, row, message):
    path = download / "stage_2_train_labels.csv"
    write_table(path, [*_rows(path), row])
    with pytest.raises(InputError, match=message):
        read_rsna(download)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["p0", "Normal"], "line 20: p0 is Normal and, further up, Lung Opacity"),
        (["p0", "Cardiomegaly"], "p0 has class 'Cardiomegaly', which is not one of Normal, No Lung"),
        (["n9", "Normal"], "n9 is in stage_2_detailed_class_info.csv but not in stage_2_train_labels.csv"),
    ],
)
def test_bad_rows_of_the_classes_are_refused(download, row, message):
    path = download / "stage_2_detailed_class_info.csv"
    write_table(path, [*_rows(path), row])
    with pytest.raises(InputError, match=message):
        read_rsna(download)


def test_boxes_and_classes_must_agree(download):
    path = download / "stage_2_detailed_class_info.csv"
    changed = {"n0": "Lung Opacity", "p2": "No Lung Opacity / Not Normal"}
    write_table(path, [[name, changed.get(name, label)] for name, label in _rows(path)])
    with pytest.raises(
        InputError, match="2 problems: n0 has 0 boxes and class Lung Opacity.*; p2 has 3 boxes and class No"
    ):
        read_rsna(download)


def test_up_to_20_problems_are_listed(download):
    path = download / "stage_2_train_labels.csv"
    write_table(path, [*_rows(path), *([f"p{i}", 1, 1, 5, 5, 7] for i in range(50, 75))])
    with pytest.raises(InputError, match=r"has 25 problems: (line [^;]*; ){20}and 5 more.$"):
        read_rsna(download)


def test_wrong_folders_and_arguments_are_refused(download, tmp_path):
    with pytest.raises(
        InputError, match="is not an RSNA .* download: stage_2_train_images, stage_2_train_labels.csv, "
    ):
        read_rsna(tmp_path / "none")
    with pytest.raises(InputError, match="classes are Normal, .* Received 'Opacity'"):
        read_rsna(download, max_images_per_class={"Opacity": 5})
    with pytest.raises(InputError, match="images of class Normal must be at least 1. Received 0"):
        read_rsna(download, max_images_per_class={"Normal": 0})
    with pytest.raises(InputError, match="seed must lie in"):
        read_rsna(download, seed=-1)
    write_table(download / "stage_2_train_labels.csv", [_HEADER])
    with pytest.raises(InputError, match="stage_2_train_labels.csv has no rows"):
        read_rsna(download)


_SIDES = st.integers(1, 2000)
_EDGES = st.floats(-100, 2100)


@given(st.tuples(_SIDES, _SIDES), st.tuples(_SIDES, _SIDES), st.tuples(_EDGES, _EDGES, _EDGES, _EDGES))
def test_boxes_are_clipped_and_scaled_with_the_image(size, png_size, corners):
    x, y, width, height = corners[0], corners[1], abs(corners[2]) + 1, abs(corners[3]) + 1
    sides = zip((x, y, x + width, y + height), (*size, *size), (*png_size, *png_size), strict=True)
    expected = [min(max(edge, 0), side) * png_side / side for edge, side, png_side in sides]
    images = _images([("a", "Lung Opacity"), ("b", "Normal"), ("c", "Lung Opacity"), ("d", "Normal")])
    boxed = RsnaImage("a", "/d/a.dcm", "Lung Opacity", np.array([[x, y, x + width, y + height]]))
    conversions = [_converted(str(i), size, png_size) for i in range(4)]
    assume(max(expected) > 1)  # a manifest refuses boxes within one pixel: they look like fractions of the image
    if np.float32(expected[0]) < np.float32(expected[2]) and np.float32(expected[1]) < np.float32(expected[3]):
        (box,) = _deal([boxed, *images[1:]], conversions, num_folds=2).boxes[0]
        np.testing.assert_allclose(box, expected, rtol=1e-6, atol=1e-6)
        assert box.min() >= 0 and box[2] <= png_size[0] and box[3] <= png_size[1]
    else:
        with pytest.raises(InputError, match="1 problem: a: a box lies outside of the image of"):
            _deal([boxed, *images[1:]], conversions, num_folds=2)


def test_images_with_the_same_patient_id_are_one_group():
    images = _images([(f"{letter}{i}", label) for i in range(6) for letter, label in zip("nop", CLASSES, strict=True)])
    patients = ["Doe^Jane", "", "", *[f"Doe^{i}" for i in range(14)], "Doe^Jane"]
    manifest = _deal(images, [_converted(patient) for patient in patients], num_folds=3)
    assert manifest.groups == (*[image.name for image in images[:-1]], "n0")  # by image names: nothing of the header
    assert manifest.folds[0] == manifest.folds[-1]
    for label in range(3):
        members = [fold for fold, each in zip(manifest.folds, manifest.labels, strict=True) if each == label]
        assert Counter(members) == {"1": 2, "2": 2, "3": 2}


def test_a_manifest_says_where_the_boxes_are_from():
    images = _images([("n0", "Normal"), ("p0", "Lung Opacity"), ("n1", "Normal"), ("p1", "Lung Opacity")])
    boxes = np.array([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    images[1] = RsnaImage("p0", "/d/p0.dcm", "Lung Opacity", boxes)
    manifest = _deal(images, [_converted(str(i)) for i in range(4)], num_folds=2, source="/out/manifest.csv")
    assert manifest.class_names == CLASSES and manifest.labels.tolist() == [0, 2, 0, 2]
    assert manifest.boxes[1].tolist() == boxes.tolist() and manifest.boxes[1].dtype == np.float32
    assert manifest.box_sources == ("", "ground-truth", "", "")
    assert manifest.image_paths[1] == "/out/p0.png" and manifest.source == "/out/manifest.csv"


def test_failed_images_are_listed_or_left_out():
    images = _images(
        [(f"{letter}{i}", label) for i in range(3) for letter, label in (("n", CLASSES[0]), ("p", CLASSES[2]))]
    )
    images[1] = RsnaImage("p0", "/d/p0.dcm", "Lung Opacity", np.array([[2000.0, 0, 2010, 10]]))
    conversions = [*[_converted(str(i)) for i in range(4)], InputError("n2.dcm: broken"), _converted("5")]
    message = "2 problems: p0: a box lies outside of the image of 1024 x 1024 px: .*; n2.dcm: broken"
    with pytest.raises(InputError, match=message):
        _deal(images, conversions, num_folds=2)
    with pytest.warns(UserWarning, match="left out 2 of 6 images: p0: .*; n2.dcm: broken$"):
        manifest = _deal(images, conversions, num_folds=2, skip_failed=True)
    assert manifest.groups == ("n0", "n1", "p1", "p2")
    with (
        pytest.warns(UserWarning, match="left out 6 of 6 images"),
        pytest.raises(InputError, match="No image could be converted"),
    ):
        _deal(images, [InputError("broken")] * 6, skip_failed=True)


def test_folds_can_be_given(tmp_path):
    images = _images([("n0", "Normal"), ("p0", "Lung Opacity")])
    conversions = [_converted("a"), _converted("b")]
    write_table(tmp_path / "folds.csv", [["patientId", "fold"], ["p0", 7], ["n0", 3]])
    assert _deal(images, conversions, folds_file=tmp_path / "folds.csv").folds == ("3", "7")
    write_table(tmp_path / "folds.csv", [["patientId", "fold"], ["p0", 7]])
    with pytest.raises(InputError, match="folds.csv has 1 problem: no fold for image n0"):
        _deal(images, conversions, folds_file=tmp_path / "folds.csv")
    with pytest.raises(InputError, match="Class Lung Opacity has 1 groups, fewer than 2 folds"):
        _deal(images, conversions, num_folds=2)


@pytest.mark.parametrize("name", ["baseline", "care"])
def test_the_shipped_configurations_name_these_classes(name):
    config = load_config(_ROOT / "configs" / "rsna" / f"{name}.yaml")
    Augmentation(**config.stages[0].augmentation)
    assert config.data.class_names == CLASSES
    assert config.data.mask_classes == ("Lung Opacity",)
    assert [stage.alpha for stage in config.stages] == [0, 0.5 if name == "care" else 0]
    assert (config.care.lam, config.care.tau) == (0.5, 0.5)
    assert config.baseline == (None if name == "baseline" else "baseline")
