import dataclasses
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from care_tf.boxes.exchange.exporting import _annotated_rows, _chosen_rows, export_boxes
from care_tf.boxes.exchange.importing import import_boxes
from care_tf.boxes.formats import FORMATS, read_annotations
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError

_WIDTH, _HEIGHT = 48, 32
_SUFFIX = {"coco": ".json", "createml": ".json", "label-studio": ".json", "cvat": ".xml", "csv": ".csv"}
_SUFFIX |= {"rsna": ".csv", "nih": ".csv"}
_TOLERANCE_PX = {"voc": 0.5, "isic-masks": 0.5, "yolo": 1e-6, "createml": 1e-6}
_NONE = np.zeros((0, 4), np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Equal names in two folders, a name with blanks, and every EXIF orientation."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "train").mkdir()
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.new("RGB", (_WIDTH, _HEIGHT)).save(folder / f"{orientation}.jpg", exif=exif)
    Image.new("RGB", (_WIDTH, _HEIGHT)).save(folder / "train" / "1.jpg")
    Image.new("RGB", (_WIDTH, _HEIGHT)).save(folder / "train" / "a b.png")
    return folder


def _manifest(folder, names, boxes, **columns):
    return Manifest(
        image_paths=tuple(str(folder / name) for name in names),
        labels=[i % 2 for i in range(len(names))],
        class_names=("x", "y"),
        boxes=tuple(np.array(box, np.float32).reshape(-1, 4) for box in boxes),
        source=str(folder.parent / "manifest.csv"),
        **columns,
    )


def _annotations(manifest, include_empty=False, label=None, image_root=None):
    rows = _chosen_rows(manifest, include_empty)
    return [image for image, _ in _annotated_rows(manifest, rows, label, image_root)]


_NAMES = ("1.jpg", "3.jpg", "6.jpg", "7.jpg", "train/1.jpg", "train/a b.png")
_edges = st.lists(st.floats(0, _HEIGHT, width=32), min_size=4, max_size=4).filter(
    lambda edges: abs(edges[0] - edges[1]) > 2 and abs(edges[2] - edges[3]) > 2
)
_box = _edges.map(lambda e: [min(e[0], e[1]), min(e[2], e[3]), max(e[0], e[1]), max(e[2], e[3])])


@pytest.mark.parametrize("format_name", FORMATS)
@settings(max_examples=12)
@given(data=st.data())
def test_boxes_survive_export_and_import(folder, format_name, data):
    names = data.draw(st.lists(st.sampled_from(_NAMES), min_size=1, unique=True))
    if format_name == "rsna":
        names = [name for name in names if name != "train/1.jpg"] or ["1.jpg"]
    max_boxes = 1 if format_name == "isic-masks" else 2
    boxes = [data.draw(st.lists(_box, max_size=max_boxes, unique_by=tuple)) for _ in names]
    boxes[0] = boxes[0] or [[1, 2, 13, 14]]
    manifest = _manifest(folder, names, boxes)
    options = {"image_size": None} if format_name in ("rsna", "nih") else {}
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"boxes{_SUFFIX.get(format_name, '')}"
        summary = export_boxes(manifest, path, format_name, **options)
        assert summary.num_boxes == sum(map(len, boxes)) and summary.num_without_box == 0
        back, _ = import_boxes(manifest.without_boxes(), read_annotations(path, **options), source="back")
    for expected, found, source in zip(manifest.boxes, back.boxes, back.box_sources, strict=True):
        assert found.shape == expected.shape and source == ("back" if len(expected) else "")
        np.testing.assert_allclose(found, expected, rtol=2e-7, atol=_TOLERANCE_PX.get(format_name, 0))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sizes_and_boxes_are_of_the_oriented_image(folder, orientation):
    (image,) = _annotations(_manifest(folder, [f"{orientation}.jpg"], [[[1, 2, 3, 4]]]))
    assert (image.width, image.height) == ((_WIDTH, _HEIGHT) if orientation < 5 else (_HEIGHT, _WIDTH))
    assert image.boxes.tolist() == [[1, 2, 3, 4]]


def test_names_labels_and_images_without_boxes(folder):
    manifest = _manifest(folder, ["1.jpg", "train/1.jpg", "train/a b.png"], [[[1, 2, 3, 4]], [[1, 2, 3, 4]], []])
    images = _annotations(manifest)
    assert [image.name for image in images] == ["1.jpg", "train/1.jpg"]
    assert [image.labels for image in images] == [("x",), ("y",)]
    images = _annotations(manifest, True, "lesion", folder.parent)
    assert [image.name for image in images] == [
        f"{folder.name}/{name}" for name in ("1.jpg", "train/1.jpg", "train/a b.png")
    ]
    assert [image.labels for image in images] == [("lesion",), ("lesion",), ()]
    assert [image.image_class for image in images] == ["x", "y", "x"]


def test_a_mask_becomes_its_tight_rectangle_in_the_pixels_of_the_image(folder, tmp_path):
    mask = np.zeros((16, 24), np.uint8)
    mask[4:8, 2:12] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    manifest = _manifest(folder, ["1.jpg"], [[]], mask_paths=(str(tmp_path / "m.png"),))
    summary = export_boxes(manifest, tmp_path / "out.json", "coco")
    assert json.loads((tmp_path / "out.json").read_text())["annotations"][0]["bbox"] == [4, 8, 20, 8]
    assert summary.num_from_masks == 1
    assert "1 images have a mask: its tight rectangle was written" in summary.text()


def test_the_summary_says_what_is_lost_and_turned(folder, tmp_path):
    manifest = _manifest(folder, ["1.jpg", "6.jpg", "7.jpg"], [[[1, 2, 3, 4]], [[1, 2, 3, 4]], []])
    text = export_boxes(manifest, tmp_path / "out", "voc", include_empty=True).text()
    assert "3 images with 2 boxes, 1 images without one" in text
    assert "warning: 2 images have an EXIF rotation" in text
    assert "lost in this format: positions are rounded to whole pixels" in text


class TestTargets:
    @pytest.fixture
    def manifest(self, folder):
        return _manifest(folder, ["1.jpg"], [[[1, 2, 3, 4]]])

    def test_what_is_there_stays_unless_told(self, manifest, tmp_path):
        (tmp_path / "out.json").write_text("mine")
        with pytest.raises(InputError, match="out.json exists already; choose another output"):
            export_boxes(manifest, tmp_path / "out.json", "coco")
        assert (tmp_path / "out.json").read_text() == "mine"
        export_boxes(manifest, tmp_path / "out.json", "coco", overwrite=True)
        assert json.loads((tmp_path / "out.json").read_text())["images"]

    def test_a_folder_is_replaced_as_a_whole_if_it_holds_nothing_else(self, manifest, folder, tmp_path):
        export_boxes(_manifest(folder, ["train/1.jpg"], [[[1, 2, 3, 4]]]), tmp_path / "out", "voc")
        with pytest.raises(InputError, match="out exists already"):
            export_boxes(manifest, tmp_path / "out", "voc")
        (tmp_path / "out" / "photo.jpg").write_text("mine")
        with pytest.raises(InputError, match=r"out holds files of another kind \(photo.jpg, ...\)"):
            export_boxes(manifest, tmp_path / "out", "voc", overwrite=True)
        (tmp_path / "out" / "photo.jpg").rename(tmp_path / "photo.jpg")
        export_boxes(manifest, tmp_path / "out", "voc", overwrite=True)
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["1.xml"]

    def test_what_the_manifest_is_made_of_is_never_replaced(self, folder, tmp_path):
        mask = tmp_path / "masks" / "1_segmentation.png"
        mask.parent.mkdir()
        Image.fromarray(np.pad(np.ones((4, 4), np.uint8), ((4, 24), (8, 36)))).save(mask)
        before = mask.read_bytes()
        masked = dataclasses.replace(_manifest(folder, ["1.jpg"], [_NONE]), mask_paths=(str(mask),))
        for path in (tmp_path / "masks", tmp_path):
            with pytest.raises(InputError, match="what the manifest is made of"):
                export_boxes(masked, path, "isic-masks", overwrite=True)
        assert mask.read_bytes() == before
        table = tmp_path / "manifest.csv"
        table.write_text("image,label\n")
        boxed = dataclasses.replace(_manifest(folder, ["1.jpg"], [[[1, 2, 3, 4]]]), source=str(table))
        for options in ({"path": table}, {"path": tmp_path / "out.csv", "class_file": table}):
            with pytest.raises(InputError, match="what the manifest is made of"):
                export_boxes(boxed, format_name="rsna", image_size=None, overwrite=True, **options)
        assert table.read_text() == "image,label\n"
        export_boxes(masked, tmp_path / "new", "isic-masks")

    def test_an_empty_folder_is_no_loss(self, manifest, tmp_path):
        (tmp_path / "out").mkdir()
        export_boxes(manifest, tmp_path / "out", "yolo")
        assert (tmp_path / "out" / "labels" / "1.txt").is_file()

    def test_files_and_folders_do_not_replace_each_other(self, manifest, tmp_path):
        (tmp_path / "out").mkdir()
        with pytest.raises(InputError, match="out is a folder, and this format writes a file"):
            export_boxes(manifest, tmp_path / "out", "coco", overwrite=True)
        (tmp_path / "file").write_text("mine")
        with pytest.raises(InputError, match="file is a file, and this format writes a folder"):
            export_boxes(manifest, tmp_path / "file", "voc", overwrite=True)

    def test_the_second_table_of_rsna_is_kept_too(self, manifest, tmp_path):
        (tmp_path / "classes.csv").write_text("mine")
        with pytest.raises(InputError, match="classes.csv exists already"):
            export_boxes(manifest, tmp_path / "out.csv", "rsna", image_size=None, class_file=tmp_path / "classes.csv")
        assert not (tmp_path / "out.csv").exists()


def test_bad_manifests_are_refused(folder, tmp_path):
    manifest = _manifest(folder, ["1.jpg", "none.jpg"], [[[1, 2, 3, 4]]] * 2)
    with pytest.raises(InputError, match="manifest.csv has 1 problem: .*none.jpg does not exist"):
        export_boxes(manifest, tmp_path / "out.json", "coco")
    with pytest.raises(InputError, match="No image of the manifest .* has a box to export"):
        export_boxes(manifest.without_boxes(), tmp_path / "out.json", "coco")
    with pytest.raises(InputError, match="Image .*1.jpg is not below .*, so it has no name there"):
        export_boxes(manifest.subset([0]), tmp_path / "out.json", "coco", image_root=tmp_path / "other")
    with pytest.raises(InputError, match="Annotation format 'pdf' is not one of"):
        export_boxes(manifest, tmp_path / "out.json", "pdf")
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_without_a_source_has_names_too(folder):
    manifest = dataclasses.replace(_manifest(folder, ["train/1.jpg"], [[[1, 2, 3, 4]]]), source="")
    assert _annotations(manifest)[0].name == "1.jpg"
