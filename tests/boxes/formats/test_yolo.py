import warnings

import numpy as np
import pytest

from care_tf.boxes.formats import AnnotatedImage, read_annotations
from care_tf.boxes.formats._yolo import parse_class_names, parse_yolo, read_yolo, write_yolo
from care_tf.boxes.formats.annotated_image import refuse_bad
from care_tf.errors import InputError

_LABELIMG = "0 0.271667 0.194444 0.208333 0.166667\n1 0.500000 0.500000 1.000000 1.000000\n"


def test_a_folder_of_labelimg(tmp_path):
    (tmp_path / "ISIC_0024306.txt").write_text(_LABELIMG)
    (tmp_path / "ISIC_0024307.txt").write_text("")
    (tmp_path / "classes.txt").write_text("lesion\nwhole image\n")
    first, second = read_yolo(tmp_path)
    assert (first.name, first.unit, first.width) == ("ISIC_0024306", "fraction", None)
    assert first.labels == ("lesion", "whole image")
    np.testing.assert_allclose(
        first.boxes, [[0.1675005, 0.1111105, 0.3758335, 0.2777775], [0, 0, 1, 1]], rtol=0, atol=1e-12
    )
    assert second.name == "ISIC_0024307" and second.boxes.shape == (0, 4)


def test_a_data_set_of_ultralytics(tmp_path):
    (tmp_path / "data.yaml").write_text(
        "# skin\npath: ../datasets/skin\ntrain: images/train\nval: images/val\nnames:\n  0: lesion\n  1: NO\n"
    )
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "train" / "1.2.840.txt").write_text("1 .5 .5 .2 .2\r\n")
    (tmp_path / "labels" / "train" / "classes.txt").write_text("lesion\nNO\n")
    (tmp_path / "README.txt").write_text("not labels\n")
    for path in (tmp_path, tmp_path / "data.yaml"):
        (image,) = read_yolo(path)
        assert (image.name, image.labels) == ("train/1.2.840", ("NO",))


class TestOtherTextFiles:
    """What lies among label files and is none; an export of Roboflow has two in front of its folders."""

    def texts(self, root, **contents):
        for name, content in contents.items():
            path = root / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(path.name + ".txt").write_text(content)
        return root

    def test_an_export_of_roboflow(self, tmp_path):
        (tmp_path / "data.yaml").write_text("names: [DF, NV]\nnc: 2\ntrain: ../train/images\n")
        (tmp_path / "README.dataset.txt").write_text("skin > 2024-01-01\n\n1 2 3 4 5\n")
        (tmp_path / "README.roboflow.txt").write_text("* Resize to 640x640 (Stretch)\n")
        name = "ISIC_1_jpg.rf.0123456789abcdef0123456789abcdef"
        splits = ("train", "valid", "test")
        self.texts(tmp_path, **{f"{split}__labels__{name}": "1 .5 .5 .2 .2" for split in splits})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            images = read_annotations(tmp_path)
        assert [image.name for image in images] == [f"{split}/images/{name}" for split in sorted(splits)]
        assert {image.labels for image in images} == {("NV",)}

    def test_the_rest_is_ignored_aloud_where_no_line_could_be_a_box(self, tmp_path):
        self.texts(tmp_path, a="0 .5 .5 .2 .2", b="", notes="Drawn by us.\nSee 1 2 3.", train="images/a.jpg")
        (tmp_path / "latin.txt").write_bytes(b"M\xfcller 1 2 3 4")
        with pytest.warns(UserWarning, match="2 text files hold no boxes and are ignored: latin.txt; notes.txt"):
            assert [image.name for image in read_yolo(tmp_path)] == ["a", "b"]

    @pytest.mark.parametrize("place", ["labels__a", "x__labels__sub__a", "a"])
    def test_none_is_ignored_that_belongs_to_an_image_or_lies_among_labels(self, tmp_path, place):
        self.texts(tmp_path, **{place: "no labels"})
        if place == "a":
            (tmp_path / "a.JPG").write_bytes(b"")
        with pytest.raises(InputError, match="a position must be a finite number. Received 'labels'"):
            read_annotations(tmp_path, "yolo")

    def test_images_may_be_called_like_lists(self, tmp_path):
        self.texts(tmp_path, **{"test.001": "0 .5 .5 .2 .2", "val": "0 .5 .5 .2 .2", "test": ""})
        assert [image.name for image in read_yolo(tmp_path)] == ["test.001", "val"]

    def test_a_line_that_could_be_a_box_is_not_ignored(self, tmp_path):
        self.texts(tmp_path, a="# my boxes\nlesion .5 .5 .2 .2")
        with pytest.raises(InputError, match="Received 2 of 2 that are not: "):
            read_annotations(tmp_path, "yolo")

    @pytest.mark.parametrize(
        ("step", "moves"),
        [
            ("Resize to 640x640 (Stretch)", False),
            ("Resize to 640x640 (Fit within)", False),
            ("Auto-orientation of pixel data (with EXIF-orientation stripping)", False),
            ("Salt and pepper noise was applied to 5 percent of pixels", False),
            ("Resize to 640x640 (Fit (black edges))", True),
            ("Resize to 640x640 (Fill (with center crop))", True),
            ("50% probability of horizontal flip", True),
            ("Random rotation of between -15 and +15 degrees", True),
        ],
    )
    def test_notes_that_boxes_have_moved_are_passed_on(self, tmp_path, step, moves):
        self.texts(tmp_path, train__labels__a="0 .5 .5 .2 .2")
        (tmp_path / "README.roboflow.txt").write_text(f"Done to each image:\n* {step}\n")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            read_annotations(tmp_path / "train", "yolo")
        assert [step in str(warning.message) for warning in caught] == [True] * moves


def test_a_confidence_is_ignored_and_corners_become_a_rectangle():
    text = "0 .5 .5 .5 .5 .93\n0 .1 .2 .4 .1 .5 .3\n0 .5 .1 .9 .5 .5 .9 .1 .5\n"
    image = parse_yolo(text, "f.txt", name="a")
    np.testing.assert_allclose(image.boxes, [[0.25, 0.25, 0.75, 0.75], [0.1, 0.1, 0.5, 0.3], [0.1, 0.1, 0.9, 0.9]])
    assert image.labels == ("0", "0", "0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 .5 .5 .5 .5\n\n0 .5 .5 .5\n", "f.txt, line 3 has 3 numbers after the class"),
        ("0 .1 .2 .3 .4 .5 .6 .7", "has 7 numbers after the class.* Key points and tracks are not read"),
        ("0 .5 .5 .2 .2 .4 .4 2 .6 .6 1", "f.txt, line 1: a polygon .*Received 10 numbers, 2.0 among them.*key points"),
        ("0 .5 .5 .2 .2 .93 17", "Received 6 numbers, 17.0 among them, which may be key points or a track"),
        ("0 .5 .5 .2 .2 .93 1", "Received 6 numbers, 1.0 among them"),
        ("0 .5 .5 -.02 .2 .9 .9", "Received 6 numbers, -0.02 among them"),
        ("0 .5 .5 .5 x", "f.txt, line 1: a position must be a finite number. Received 'x'"),
        ("0 .5 .5 .5 nan", "a position must be a finite number"),
        ("0 .5 .5 -.5 .5", "has no area"),
        ("lesion .5 .5 .5 .5", "the class must be a finite number. Received 'lesion'"),
        ("-1 .5 .5 .5 .5", "the class must be a number 0, 1, 2"),
        ("1.5 .5 .5 .5 .5", "the class must be a number 0, 1, 2"),
        ("2 .5 .5 .5 .5", "has class 2, but the list of classes has 2, from 0"),
    ],
)
def test_bad_lines_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        refuse_bad([parse_yolo(text, "f.txt", name="a", class_names=["x", "y"])])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [a, b", "data.yaml is not valid YAML.*line 1"),
        ("train: x", "needs names"),
        ("names: {0: a, 2: b}", "needs names: a list of classes, or one numbered from 0 without gaps"),
        ("names: [[a]]", "needs names"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]", "needs names"),
        ("- a", "needs names"),
        ("names: [lesion]\nkpt_shape: [3, 2]", "is of a pose data set"),
    ],
)
def test_bad_yaml_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_class_names(text, "data.yaml")


def test_nothing_in_yaml_is_executed(tmp_path):
    text = f"names: !!python/object/apply:os.mkdir [{tmp_path / 'made'}]"
    assert parse_class_names(text, "data.yaml") == [str(tmp_path / "made")]
    assert not (tmp_path / "made").exists()


def test_names_in_a_list_and_with_blanks():
    assert parse_class_names("names: ['melanoma in situ', yes, 3]\nnc: 3", "data.yaml") == [
        "melanoma in situ",
        "yes",
        "3",
    ]
    assert parse_class_names("a b\nc\n\n", "classes.txt") == ["a b", "c"]
    with pytest.raises(InputError, match="classes.txt has an empty class name among its 3"):
        parse_class_names("a\n\nb\n", "classes.txt")


def test_lists_of_classes_that_differ_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("0 .5 .5 .5 .5")
    (tmp_path / "classes.txt").write_text("x\n")
    (tmp_path / "data.yaml").write_text("names: [y]\n")
    with pytest.raises(InputError, match="classes .*data.yaml, .*classes.txt differ"):
        read_yolo(tmp_path)
    assert read_yolo(tmp_path, class_file=tmp_path / "classes.txt")[0].labels == ("x",)


def test_a_folder_without_label_files_is_refused(tmp_path):
    (tmp_path / "classes.txt").write_text("x\n")
    with pytest.raises(InputError, match="holds no label files"):
        read_yolo(tmp_path)


@pytest.mark.parametrize(
    ("name", "label", "size", "message"),
    [
        ("a.jpg", "x", {}, "YOLO needs the size of every image; a.jpg has none"),
        ("a.jpg", "x\ny", {"width": 5, "height": 5}, "YOLO needs labels of one line"),
        ("a.jpg", "", {"width": 5, "height": 5}, "YOLO needs labels of one line"),
        ("classes.jpg", "x", {"width": 5, "height": 5}, "An image called classes"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, name, label, size, message):
    with pytest.raises(InputError, match=message):
        write_yolo([AnnotatedImage(name, [[0, 0, 1, 1]], (label,), **size)], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
