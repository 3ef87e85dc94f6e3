import dataclasses

import numpy as np
import pytest
from PIL import Image

from care_tf.boxes.exchange.importing import import_boxes
from care_tf.boxes.formats import AnnotatedImage
from care_tf.data.manifest import Manifest, read_manifest, write_manifest
from care_tf.errors import InputError

_WIDTH, _HEIGHT = 40, 30


@pytest.fixture
def manifest(tmp_path):
    """a.jpg without a box, b.jpg with one, c.jpg with a mask, d.jpg turned by EXIF."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in "abcd":
        Image.new("RGB", (_WIDTH, _HEIGHT)).save(tmp_path / f"{name}.jpg", exif=exif if name == "d" else b"")
    Image.new("L", (_WIDTH, _HEIGHT), 255).save(tmp_path / "c.png")
    return Manifest(
        image_paths=tuple(str(tmp_path / f"{name}.jpg") for name in "abcd"),
        labels=[0, 0, 1, 1],
        class_names=("x", "y"),
        boxes=(
            *[np.zeros((0, 4), np.float32)],
            np.array([[1, 2, 3, 4]], np.float32),
            *[np.zeros((0, 4), np.float32)] * 2,
        ),
        mask_paths=("", "", str(tmp_path / "c.png"), ""),
        groups=("1", "2", "3", "4"),
        box_sources=("", "hand", "net", ""),
        source=str(tmp_path / "manifest.csv"),
    )


def _of(name, *boxes, labels=None, size=(_WIDTH, _HEIGHT), **more):
    labels = ("lesion",) * len(boxes) if labels is None else labels
    return AnnotatedImage(f"{name}.jpg", list(boxes), labels, width=size[0], height=size[1], where=f"f: {name}", **more)


def test_boxes_come_into_the_manifest_and_nothing_else_changes(manifest, tmp_path):
    annotations = [_of("a", [5, 6, 20.5, 30], [1, 1, 2, 2]), _of("z", [1, 1, 2, 2])]
    imported, summary = import_boxes(manifest, annotations, source="imported:coco")
    assert imported.boxes[0].dtype == np.float32
    assert imported.boxes[0].tolist() == [[5, 6, 20.5, 30], [1, 1, 2, 2]]
    assert imported.box_sources == ("imported:coco", "hand", "net", "")
    for name in ("image_paths", "mask_paths", "groups", "splits", "folds", "class_names", "source"):
        assert getattr(imported, name) == getattr(manifest, name)
    assert [boxes.tolist() for boxes in imported.boxes[1:]] == [boxes.tolist() for boxes in manifest.boxes[1:]]
    assert (summary.num_annotated, summary.num_matched, summary.num_images, summary.num_boxes) == (2, 1, 1, 2)
    assert summary.unmatched == ("z.jpg",) and summary.num_images_left == 3
    write_manifest(imported, tmp_path / "new.csv")
    assert read_manifest(tmp_path / "new.csv").fingerprint() == imported.fingerprint()


def test_boxes_are_clipped_and_listed(manifest):
    imported, summary = import_boxes(manifest, [_of("a", [-2, 5, 10, 40], [1, 1, 2, 2])])
    assert imported.boxes[0].tolist() == [[0, 5, 10, 30], [1, 1, 2, 2]]
    assert summary.clipped == ("[-2, 5, 10, 40] of f: a",)
    assert "warning: 1 boxes leave their image and were clipped: [-2, 5, 10, 40] of f: a" in summary.text()
    rounded, far = [1, 1, 5, _HEIGHT + 0.005], [1, 1, 1e300, 5]
    imported, summary = import_boxes(manifest, [_of("a", [-5, -5, 0, 0], rounded, far)], outside="drop")
    assert imported.boxes[0].tolist() == [[1, 1, 5, _HEIGHT], [1, 1, _WIDTH, 5]]
    assert summary.clipped == ("[1, 1, 1e+300, 5] of f: a",) and summary.outside == ("[-5, -5, 0, 0] of f: a",)


def test_boxes_outside_are_refused_or_dropped(manifest):
    annotations = [_of("a", [40, 5, 50, 20], [1, 1, 2, 2])]
    with pytest.raises(InputError, match="Box .40, 5, 50, 20. of f: a lies outside of the image of 40 x 30 px"):
        import_boxes(manifest, annotations)
    imported, summary = import_boxes(manifest, annotations, outside="drop")
    assert imported.boxes[0].tolist() == [[1, 1, 2, 2]]
    assert summary.outside == ("[40, 5, 50, 20] of f: a",)
    assert "warning: 1 boxes outside of their image were dropped" in summary.text()


def test_an_image_that_was_annotated_without_its_exif_rotation_is_turned(manifest):
    imported, summary = import_boxes(manifest, [_of("d", [0, 0, 10, 5])])
    assert imported.boxes[3].tolist() == [[25, 0, 30, 10]]
    assert summary.turned == ("d.jpg (EXIF orientation 6)",)
    imported, summary = import_boxes(manifest, [_of("d", [0, 0, 10, 5], size=(_HEIGHT, _WIDTH))])
    assert imported.boxes[3].tolist() == [[0, 0, 10, 5]] and not summary.turned
    imported, summary = import_boxes(manifest, [_of("d", [0, 0, 10, 5], size=(None, None))])
    assert imported.boxes[3].tolist() == [[0, 0, 10, 5]] and summary.untold == ("d.jpg",)
    imported, summary = import_boxes(manifest, [_of("d", [0, 0, 10, 5], size=(None, None))], exif="stored")
    assert imported.boxes[3].tolist() == [[25, 0, 30, 10]] and not summary.untold


def test_another_size_is_scaled_and_said_and_another_shape_refused(manifest):
    imported, summary = import_boxes(manifest, [_of("a", [10, 20, 30, 40], size=(80, 60))])
    assert imported.boxes[0].tolist() == [[5, 10, 15, 20]]
    assert summary.scaled == ("a.jpg from 80 x 60 px to 40 x 30 px",)
    with pytest.raises(InputError, match="f: a is about 80 x 80 px, but the image has 40 x 30 px"):
        import_boxes(manifest, [_of("a", [10, 20, 30, 40], size=(80, 80))])


class TestExistingBoxes:
    new = (10, 10, 20, 20)

    def test_they_are_refused_by_default(self, manifest):
        annotations = [_of(name, self.new) for name in "abc"]
        message = (
            "the annotation file has 2 problems: b.jpg has another box from hand in the manifest already; "
            "say whether to keep or to replace; c.jpg has a mask from net"
        )
        with pytest.raises(InputError, match=message):
            import_boxes(manifest, annotations)

    def test_no_box_is_another_opinion_too(self, manifest):
        with pytest.raises(InputError, match="b.jpg has another box"):
            import_boxes(manifest, [_of("b")])

    def test_they_may_stay(self, manifest):
        imported, summary = import_boxes(manifest, [_of(name, self.new) for name in "abc"], existing="keep")
        assert [boxes.tolist() for boxes in imported.boxes[:3]] == [[[*self.new]], [[1, 2, 3, 4]], []]
        assert imported.mask_paths == manifest.mask_paths
        assert summary.kept == ("b.jpg", "c.jpg") and summary.num_images == 1

    def test_they_may_go(self, manifest):
        annotations = [_of("a", self.new), _of("b"), _of("c", self.new)]
        imported, summary = import_boxes(manifest, annotations, existing="replace", source="ann")
        assert [boxes.tolist() for boxes in imported.boxes[:3]] == [[[*self.new]], [], [[*self.new]]]
        assert imported.mask_paths == ("",) * 4
        assert imported.box_sources == ("ann", "", "ann", "")
        assert summary.replaced == ("b.jpg", "c.jpg") and summary.num_without_box == 1

    def test_the_same_boxes_are_no_other_boxes(self, manifest):
        old = [[1, 2, 3, 4], [5, 6, 7, 8]]
        manifest = dataclasses.replace(
            manifest, boxes=(manifest.boxes[0], np.array(old, np.float32), *manifest.boxes[2:])
        )
        imported, summary = import_boxes(manifest, [_of("b", [5, 6, 7, 8.001], [1, 2, 3, 4])], source="checked")
        assert imported.box_sources[1] == "checked" and not summary.replaced


def test_only_the_wanted_labels(manifest):
    annotations = [
        _of("a", [1, 1, 2, 2], [3, 3, 9, 9], labels=("ruler", "lesion")),
        _of("d", [1, 1, 2, 2], labels=("ruler",)),
    ]
    imported, summary = import_boxes(manifest, annotations, labels=["lesion"])
    assert imported.boxes[0].tolist() == [[3, 3, 9, 9]] and not len(imported.boxes[3])
    assert dict(summary.other_labels) == {"ruler": 2} and summary.num_without_box == 1
    assert "2 boxes have other labels: ruler 2" in summary.text()
    with pytest.raises(InputError, match="No box is labeled lession; the labels there are: lesion, ruler"):
        import_boxes(manifest, annotations, labels=["lession"])


def test_boxes_are_scaled_about_their_centers(manifest):
    imported, _ = import_boxes(manifest, [_of("a", [10, 10, 20, 20])], scale=0.5)
    assert imported.boxes[0].tolist() == [[12.5, 12.5, 17.5, 17.5]]
    imported, _ = import_boxes(manifest, [_of("a", [0, 10, 20, 20])], scale=1.1)
    np.testing.assert_allclose(imported.boxes[0], [[0, 9.5, 21, 20.5]], rtol=1e-6)


def test_repeated_boxes_count_once(manifest):
    imported, summary = import_boxes(manifest, [_of("a", [10, 10, 20, 20], [1, 1, 2, 2], [10, 10, 20, 20])])
    assert imported.boxes[0].tolist() == [[10, 10, 20, 20], [1, 1, 2, 2]]
    assert summary.num_repeated == 1 and "1 boxes occurred twice" in summary.text()


class TestCopiesOfRoboflow:
    def copies(self, *boxes, labels=("lesion", "lesion"), **more):
        return [
            _of(f"train/a_jpg.rf.{digit * 32}", box, labels=(label,), size=(80, 60), **more)
            for digit, label, box in zip("01", labels, boxes, strict=True)
        ]

    def test_they_count_once_where_they_agree(self, manifest):
        imported, summary = import_boxes(manifest, self.copies([2, 2, 10, 8], [2, 2, 10, 8]))
        assert imported.boxes[0].tolist() == [[1, 1, 5, 4]]
        assert (summary.num_annotated, summary.num_matched, summary.num_boxes, summary.num_repeated) == (2, 2, 1, 0)
        assert summary.num_images_left == 3
        assert "1 images have several copies with the same boxes" in summary.text()

    @pytest.mark.parametrize(
        "copies", [{"boxes": ([2, 2, 10, 8], [70, 2, 78, 8])}, {"labels": ("x", "y")}, {"second": {"bad": ("no box",)}}]
    )
    def test_they_are_refused_where_they_do_not(self, manifest, copies):
        first, second = self.copies(*copies.get("boxes", [[2, 2, 10, 8]] * 2), labels=copies.get("labels", ("x", "x")))
        second = dataclasses.replace(second, **copies.get("second", {}))
        with pytest.raises(InputError, match="train/a_jpg.rf.0*.jpg, .*1.jpg are copies of one image with other boxes"):
            import_boxes(manifest, [first, second])


def test_bad_entries_are_listed_and_leave_an_image_without_others_alone(manifest):
    annotations = [_of("a", [1, 1, 2, 2], bad=("f: line 3 is bad",)), _of("b", bad=("f: line 4 is bad",))]
    imported, summary = import_boxes(manifest, annotations, existing="replace")
    assert imported.boxes[0].tolist() == [[1, 1, 2, 2]] and imported.boxes[1].tolist() == [[1, 2, 3, 4]]
    assert summary.bad == ("f: line 3 is bad", "f: line 4 is bad") and summary.untouched == ("b.jpg (1 bad)",)
    assert "warning: 2 entries are no boxes and were dropped: f: line 3 is bad; f: line 4 is bad" in summary.text()


def test_shapes_that_are_no_boxes_leave_the_image_alone(manifest):
    annotations = [_of("b", ignored=("point mole",)), _of("a", [1, 1, 2, 2], ignored=("line hair",))]
    imported, summary = import_boxes(manifest, annotations, existing="replace")
    assert imported.boxes[1].tolist() == [[1, 2, 3, 4]] and imported.box_sources[1] == "hand"
    assert summary.untouched == ("b.jpg (point mole)",)
    assert "2 annotations are no boxes: point mole 1, line hair 1" in summary.text()


def test_the_summary_lists_twenty(manifest):
    boxes = [[-1 - i, 0, 5, 5 + i / 2] for i in range(22)]
    _, summary = import_boxes(manifest, [_of("a", *boxes)])
    line = next(line for line in summary.text().splitlines() if "clipped" in line)
    assert line.startswith("warning: 22 boxes leave") and line.endswith("of f: a; and 2 more")


@pytest.mark.parametrize(
    ("annotations", "options", "message"),
    [
        ([], {}, "The annotations hold no images"),
        ([_of("z")], {}, r"None of the 1 annotated images \(z.jpg, ...\) is in the manifest, which has a.jpg, ..."),
        ([_of("a")], {"existing": "merge"}, "existing must be one of refuse, keep, replace. Received 'merge'"),
        ([_of("a")], {"exif": "raw"}, "exif must be one of auto, oriented, stored"),
        ([_of("a")], {"outside": "clip"}, "outside must be one of refuse, drop"),
        ([_of("a")], {"source": " "}, "The boxes need a source"),
        ([_of("a")], {"scale": 0.0}, "The box scale must be a positive number. Received 0.0"),
        ([_of("a")], {"scale": float("nan")}, "The box scale must be a positive number. Received nan"),
        ([_of("a"), _of("a")], {}, "a.jpg, a.jpg are the same image"),
    ],
)
def test_bad_input_is_refused(manifest, annotations, options, message):
    with pytest.raises(InputError, match=message):
        import_boxes(manifest, annotations, **options)


def test_missing_images_are_listed(manifest, tmp_path):
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "d.jpg").write_bytes(b"nothing")
    with pytest.raises(
        InputError, match="has 2 problems: .*a.jpg does not exist; .*d.jpg is not a readable JPEG or PNG"
    ):
        import_boxes(manifest, [_of("a", [1, 1, 2, 2]), _of("d", [1, 1, 2, 2])])


def test_names_may_be_relative_to_a_folder_of_ones_own(manifest, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "a.jpg").rename(tmp_path / "x" / "a.jpg")
    (tmp_path / "b.jpg").rename(tmp_path / "x" / "b.jpg")
    paths = (str(tmp_path / "x" / "a.jpg"), str(tmp_path / "x" / "b.jpg"), *manifest.image_paths[2:])
    twin = str(tmp_path / "a.jpg")
    Image.new("RGB", (_WIDTH, _HEIGHT)).save(twin)
    manifest = dataclasses.replace(manifest, image_paths=(paths[0], paths[1], paths[2], twin), source="")
    imported, _ = import_boxes(manifest, [_of("a", [1, 1, 2, 2])])
    assert [len(boxes) for boxes in imported.boxes] == [0, 1, 0, 1]  # relative to the folder of all images
    with pytest.raises(InputError, match="a.jpg fits .*x/a.jpg, .*a.jpg; write its folder"):
        import_boxes(manifest, [_of("a", [1, 1, 2, 2])], image_root=tmp_path / "x")
