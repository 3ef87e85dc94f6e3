import shutil

import numpy as np
import pytest
from downloads import write_isic2018, write_table
from PIL import Image

from care_tf.datasets.isic2018 import CLASSES, read_isic2018
from care_tf.errors import InputError

_LABELS = ["NV", "DF", "MEL", "DF", "NV", "BKL"]
_GROUPS = ["a", "b", "c", "b", "a", "d"]


@pytest.fixture
def download(tmp_path):
    """Six images of 20 x 15 px in the official layout, masks of 60 x 45 px; image 1's lesion is at 10..30, 5..20."""
    regions = np.zeros((6, 45, 60), np.uint8)
    for i, region in enumerate(regions):
        region[5:20, 10 * i : 10 * i + 20] = 255
    ids = write_isic2018(tmp_path, _LABELS, _GROUPS, regions, size=(20, 15))
    # The palette masks of the real download: the numbers are inverted, the colors are right.
    mask = Image.fromarray(255 - regions[3]).convert("P")
    mask.putdata((255 - regions[3]).ravel().tolist())
    mask.putpalette([255 - number // 3 for number in range(768)])
    mask.save(tmp_path / "HAM10000_segmentations_lesion_tschandl" / f"{ids[3]}_segmentation.png")
    write_table(tmp_path / "folds.csv", [["image", "fold"], *([name, i % 2 + 1] for i, name in enumerate(ids))])
    return tmp_path


def test_the_official_layout_becomes_a_manifest(download):
    manifest = read_isic2018(download, ["DF"], folds_file=download / "folds.csv")
    assert manifest.class_names == ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
    assert [manifest.class_names[label] for label in manifest.labels] == _LABELS
    assert manifest.groups == tuple(_GROUPS)
    assert manifest.folds == ("1", "2", "1", "2", "1", "2")
    assert manifest.has_boxes.tolist() == [label == "DF" for label in _LABELS]
    assert manifest.box_sources[1] == "ground-truth"
    np.testing.assert_allclose(manifest.boxes[1], np.array([[10, 5, 30, 20]]) / 3, rtol=1e-6)
    np.testing.assert_allclose(manifest.boxes[3], np.array([[30, 5, 50, 20]]) / 3, rtol=1e-6)


class TestHam10000:
    """The same set as Dataverse and Kaggle have it: images in two folders, and one table of patients."""

    @pytest.fixture
    def ham(self, download):
        (download / "ISIC2018_Task3_Training_Input").rename(download / "HAM10000_images_part_1")
        (download / "HAM10000_images_part_2").mkdir()
        (download / "HAM10000_images_part_1" / "ISIC_4.jpg").rename(download / "HAM10000_images_part_2" / "ISIC_4.jpg")
        rows = [
            [group, f"ISIC_{i}", label.lower(), "histo", 45.0 + i, "male", "back"]
            for i, (label, group) in enumerate(zip(_LABELS, _GROUPS, strict=True))
        ]
        self.rows = [["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"], *rows]
        write_table(download / "HAM10000_metadata.csv", self.rows)
        return download

    def test_it_becomes_the_same_manifest(self, ham):
        options = {"box_classes": ["DF"], "folds_file": ham / "folds.csv"}
        mixed = read_isic2018(ham, **options)
        shutil.rmtree(ham / "ISIC2018_Task3_Training_GroundTruth")
        (ham / "ISIC2018_Task3_Training_LesionGroupings.csv").unlink()
        manifest = read_isic2018(ham, **options)
        assert [manifest.class_names[label] for label in manifest.labels] == _LABELS
        assert manifest.groups == mixed.groups == tuple(_GROUPS)
        assert manifest.image_paths[4] == str(ham / "HAM10000_images_part_2" / "ISIC_4.jpg")
        assert [len(boxes) for boxes in manifest.boxes] == [label == "DF" for label in _LABELS]
        assert manifest.fingerprint() == mixed.fingerprint()
        tabbed = (ham / "HAM10000_metadata.csv").read_text().replace(",", "\t")
        (ham / "HAM10000_metadata.csv").unlink()
        (ham / "HAM10000_metadata.tab").write_text(tabbed)
        assert read_isic2018(ham, **options).fingerprint() == manifest.fingerprint()

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            (
                ["a", "ISIC_0", "nevus"],
                "line 8: ISIC_0 has dx 'nevus', which is not one of mel, nv, bcc.*; an image occ",
            ),
            (["a", "ISIC_9", "nv"], "image .*HAM10000_images_part_1.ISIC_9.jpg does not exist"),
        ],
    )
    def test_a_table_that_does_not_fit_is_refused(self, ham, row, message):
        shutil.rmtree(ham / "ISIC2018_Task3_Training_GroundTruth")
        write_table(ham / "HAM10000_metadata.csv", [*self.rows, [*row, "", "", "", ""]])
        with pytest.raises(InputError, match=message):
            read_isic2018(ham)


def test_boxes_grow_about_their_center_within_the_image(download):
    manifest = read_isic2018(download, ["DF", "BKL"], box_scale=2.0, folds_file=download / "folds.csv")
    np.testing.assert_allclose(manifest.boxes[1], np.array([[0, 0, 40, 27.5]]) / 3, atol=1e-5)
    np.testing.assert_allclose(manifest.boxes[5], np.array([[45, 0, 60, 27.5]]) / 3, atol=1e-5)


def test_without_box_classes_no_masks_are_needed(download):
    (download / "HAM10000_segmentations_lesion_tschandl").rename(download / "elsewhere")
    assert not read_isic2018(download, folds_file=download / "folds.csv").has_boxes.any()
    with pytest.raises(InputError, match="HAM10000_segmentations_lesion_tschandl missing"):
        read_isic2018(download, ["DF"], folds_file=download / "folds.csv")


def test_a_mask_without_background_gives_no_box_and_says_so(download):
    full = download / "HAM10000_segmentations_lesion_tschandl" / "ISIC_1_segmentation.png"
    Image.new("L", (60, 45), 255).save(full)
    with pytest.warns(UserWarning, match="no box for ISIC_1: the lesion mask covers the whole frame"):
        manifest = read_isic2018(download, ["DF"], folds_file=download / "folds.csv")
    assert np.flatnonzero(manifest.has_boxes).tolist() == [3]
    assert manifest.box_sources[1] == ""


def test_lesion_masks_are_named_for_every_image(download):
    region = np.full((45, 60), 255, np.uint8)
    Image.fromarray(region).save(download / "HAM10000_segmentations_lesion_tschandl/ISIC_2_segmentation.png")
    with pytest.warns(UserWarning, match="no mask for ISIC_2: the lesion mask covers the whole frame"):
        manifest = read_isic2018(download, lesion_masks=True, folds_file=download / "folds.csv")
    assert [path != "" for path in manifest.mask_paths] == [True, True, False, True, True, True]
    assert not any(len(boxes) for boxes in manifest.boxes)
    with pytest.raises(InputError, match="a box or a mask, not both"):
        read_isic2018(download, ["DF"], lesion_masks=True)


def test_folds_are_dealt_by_lesion_when_none_are_given(download):
    with pytest.raises(InputError, match="Class BKL has 1 groups, fewer than 2 folds"):
        read_isic2018(download, num_folds=2)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "ISIC2018_Task3_Training_LesionGroupings.csv").unlink(), "LesionGroupings.csv missing"),
        (lambda root: (root / "ISIC2018_Task3_Training_Input/ISIC_2.jpg").unlink(), r"ISIC_2.jpg does not exist"),
        (lambda root: write_table(root / "folds.csv", [["image", "fold"], ["ISIC_0", 1]]), "no fold for image ISIC_1"),
        (lambda root: write_table(root / "folds.csv", [["image", "part"]]), "no column fold"),
        (lambda root: (root / "folds.csv").unlink(), "There is no file .*folds.csv"),
        (
            lambda root: (root / "HAM10000_segmentations_lesion_tschandl/ISIC_3_segmentation.png").write_text("x"),
            "ISIC_3_segmentation.png cannot be decoded",
        ),
        (
            lambda root: write_table(
                root / "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv",
                [["image", *CLASSES], ["ISIC_0", 1, 1, 0, 0, 0, 0, 0]],
            ),
            "line 2: ISIC_0 has 2 classes",
        ),
    ],
)
def test_an_incomplete_download_is_refused(download, damage, message):
    damage(download)
    with pytest.raises(InputError, match=message):
        read_isic2018(download, ["DF"], folds_file=download / "folds.csv")


def test_a_wrong_folder_and_a_wrong_class_are_refused(tmp_path):
    with pytest.raises(InputError, match="is not an ISIC 2018 task 3 download: ISIC2018_Task3_Training_Input, "):
        read_isic2018(tmp_path)
    with pytest.raises(InputError, match="box classes must be among MEL, NV, .* Received XX"):
        read_isic2018(tmp_path, ["DF", "XX"])
