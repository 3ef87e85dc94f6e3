import numpy as np
import pytest
from PIL import Image

from care_tf.datasets.class_folders import read_class_folders
from care_tf.errors import InputError


@pytest.fixture
def write(tmp_path):
    """Writes images of 20 x 10 px under names below tmp_path; returns tmp_path."""

    def write(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((10, 20, 3), 90, np.uint8)).save(tmp_path / name)
        return tmp_path

    return write


def test_classes_are_the_folders_with_all_that_is_below_them(write):
    root = write("b/2.png", "b/deep/1.JPG", "a/1.jpeg", ".hidden/x.png", "b/.x.png", "__MACOSX/b/2.png")
    (root / "notes.txt").write_text("")
    (root / "a" / "coco.json").write_text("{}")
    manifest = read_class_folders(root)
    assert [path[len(str(root)) + 1 :] for path in manifest.image_paths] == ["a/1.jpeg", "b/2.png", "b/deep/1.JPG"]
    assert manifest.class_names == ("a", "b") and manifest.labels.tolist() == [0, 1, 1]
    assert set(manifest.splits) == set(manifest.groups) == {""} and not manifest.has_boxes.any()
    assert manifest.source == str(root)


def test_a_class_that_a_split_lacks_keeps_its_place(write):
    manifest = read_class_folders(
        write("Train/a/1.png", "Train/b/2.png", "Train/c/3.png", "valid/c/4.png", "test/a/5.png")
    )
    assert manifest.class_names == ("a", "b", "c")
    assert sorted(set(manifest.splits)) == ["test", "train", "validation"]
    validation = manifest.select("validation")
    assert validation.class_names == ("a", "b", "c") and validation.labels.tolist() == [2]


def test_groups_are_found_in_the_path(write):
    root = write("a/p1_x.png", "a/p2_x.png", "b/p1_y.png")
    assert read_class_folders(root, r"(p\d+)_").groups == ("p1", "p2", "p1")
    assert read_class_folders(root, r"^\w").groups == ("a", "a", "b")
    with pytest.raises(InputError, match=r"'p1' finds no group in a/p2_x.png"):
        read_class_folders(root, "p1")
    with pytest.raises(InputError, match=r"regular expression. Received '\('"):
        read_class_folders(root, "(")


def test_a_folder_without_images_is_told(write):
    root = write("a/1.png", "b/2.png")
    (root / "annotations").mkdir()
    with pytest.warns(UserWarning, match="annotations holds no image, and is not a class"):
        assert read_class_folders(root).class_names == ("a", "b")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["images/a/1.png", "images/b/2.png"], "at least two.* Received images. Give the folder right above"),
        (["a/1.png", "b/2.png", "train/a/3.png"], "Received train beside a, b"),
        (["a/1.png", "b/2.png", "3.png"], "3.png lies beside the class folders"),
        (["1.png", "2.png"], "Received no images in folders"),
        (["train/a/1.png", "train/b/2.png", "train/3.png"], "train/3.png lies beside the class folders"),
        (["a/1.png", "b/2.bmp"], "must be JPEG or PNG files. Received .*2.bmp"),
        ([], "Received no images in folders"),
    ],
)
def test_what_is_no_such_folder_is_refused(write, names, message):
    with pytest.raises(InputError, match=message):
        read_class_folders(write(*names))


def test_bad_files_and_a_missing_folder_are_refused(write, tmp_path):
    root = write("a/1.png", "b/2.png")
    (root / "a" / "3.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"has 1 problem: .*3.jpg is not a readable JPEG or PNG"):
        read_class_folders(root)
    with pytest.raises(InputError, match="which is none"):
        read_class_folders(tmp_path / "nowhere")
