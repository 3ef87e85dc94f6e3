"""The drawn set: where the cue goes, what the boxes say, what the manifest holds, and that a seed fixes it all."""

import csv
import json

import cv2
import numpy as np
import pytest

from care_tf.datasets._lesion_drawing import CLASSES, RARE_CLASS, draw_lesion
from care_tf.datasets.synthetic_lesions import SyntheticLesions
from care_tf.errors import InputError

SMALL = {
    "size_px": 48,
    "train_counts": (4, 3, 3, 2),
    "validation_counts": (1, 1, 1, 1),
    "test_counts": (3, 2, 2, 2),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "lesions"
    SyntheticLesions(**SMALL).write(folder)
    return folder


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def drawn(label, has_cue, seed, size_px=64, contrast=0.45):
    lesion, view = np.random.default_rng((seed, 0)), np.random.default_rng((seed, 1))
    return draw_lesion(label, has_cue, size_px, contrast, lesion, view)


# What the classes and the cue look like.


@pytest.mark.parametrize("label", CLASSES)
@pytest.mark.parametrize("seed", range(10))
def test_cue_changes_a_corner_and_nothing_in_the_box(label, seed):
    without, box = drawn(label, False, seed)
    with_cue, same_box = drawn(label, True, seed)
    rows, columns = np.nonzero((without != with_cue).any(axis=-1))
    x0, y0, x1, y1 = box
    assert box == same_box
    assert len(rows) > 0.005 * 64 * 64
    assert not ((rows >= y0) & (rows < y1) & (columns >= x0) & (columns < x1)).any()
    assert all((near < 0.25 * 64).all() or (near >= 0.75 * 64).all() for near in (rows, columns))


@pytest.mark.parametrize("label", CLASSES)
def test_box_holds_the_lesion_and_ends_where_it_ends(label):
    """Averaged over many lesions, the strip just inside each side of the box is darker than the one well outside."""
    inside, outside = [], []
    for seed in range(30):
        image, (x0, y0, x1, y1) = drawn(label, False, seed, size_px=96)
        gray, middle = image.mean(axis=-1), (x0 + x1) // 2
        inside.append(gray[y0 + 8 : y1 - 8, middle].mean())
        outside.append(np.concatenate([gray[: y0 - 4, middle], gray[y1 + 4 :, middle]]).mean())
        assert 0 < x0 < x1 < 96 and 0 < y0 < y1 < 96
        assert 0.02 * 96**2 < (x1 - x0) * (y1 - y0) < 0.4 * 96**2
    assert np.mean(inside) < np.mean(outside) - 20


def test_rare_class_differs_from_the_largest_in_its_center_alone():
    for seed in range(10):
        plain, box = drawn("nevus", False, seed)
        rare, same_box = drawn(RARE_CLASS, False, seed)
        x0, y0, x1, y1 = box
        difference = np.abs(plain.astype(int) - rare.astype(int)).sum(axis=-1)
        assert box == same_box
        assert difference[(y0 + y1) // 2, (x0 + x1) // 2] > 20
        difference[y0:y1, x0:x1] = 0
        assert not difference.any()


def test_pattern_contrast_sets_how_pale_the_center_is():
    plain, (x0, y0, x1, y1) = drawn("nevus", False, 3)
    center = (slice((y0 + y1) // 2 - 2, (y0 + y1) // 2 + 2), slice((x0 + x1) // 2 - 2, (x0 + x1) // 2 + 2))
    brightness = [drawn(RARE_CLASS, False, 3, contrast=contrast)[0][center].mean() for contrast in (0.2, 0.5, 1.0)]
    assert plain[center].mean() < brightness[0] < brightness[1] < brightness[2]


def test_cue_goes_with_the_rare_class_in_training_only():
    many = SyntheticLesions(
        size_px=32, train_counts=(200, 1, 1, 200), validation_counts=(1,) * 4, test_counts=(200, 1, 1, 200)
    )
    share = {}
    for image in many.images():
        share.setdefault((image.split, image.label), []).append(image.has_cue)
    assert np.mean(share["train", RARE_CLASS]) > 0.9
    assert np.mean(share["train", "nevus"]) < 0.06
    assert not any(share["test", RARE_CLASS])
    assert 0.12 < np.mean(share["test", "nevus"]) < 0.3


# What is written.


def test_manifest_has_every_image_once_with_the_counts_asked_for(folder):
    rows = rows_of(folder / "manifest.csv")
    for split in ("train", "validation", "test"):
        counts = tuple(sum(row["split"] == split and row["label"] == label for row in rows) for label in CLASSES)
        assert counts == SMALL[f"{split}_counts"]
    assert sorted(row["image"] for row in rows) == sorted(f"images/{path.name}" for path in folder.glob("images/*"))
    assert len(rows) == SyntheticLesions(**SMALL).num_images
    assert cv2.imread(str(folder / rows[0]["image"])).shape == (48, 48, 3)


def test_training_boxes_are_on_the_rare_class_only_and_agree_with_the_truth(folder):
    truth = {row["image"]: row for row in rows_of(folder / "truth.csv")}
    for row in rows_of(folder / "manifest.csv"):
        assert bool(row["boxes"]) == (row["split"] != "train" or row["label"] == RARE_CLASS)
        assert row["boxes"] in ("", truth[row["image"]]["boxes"])
        ((x0, y0, x1, y1),) = json.loads(truth[row["image"]]["boxes"])
        assert 0 <= x0 < x1 <= 48 and 0 <= y0 < y1 <= 48


def test_written_image_is_the_drawn_one_in_rgb(folder):
    first = next(SyntheticLesions(**SMALL).images())
    written = cv2.imread(str(folder / "images/train_00000.jpg"))[..., ::-1]
    assert np.abs(written.astype(int) - first.image.astype(int)).mean() < 4


def test_a_group_is_one_lesion_and_stays_in_one_split(folder):
    splits, labels, sizes = {}, {}, {}
    for row in rows_of(folder / "manifest.csv"):
        splits.setdefault(row["group"], set()).add(row["split"])
        labels.setdefault(row["group"], set()).add(row["label"])
        sizes[row["group"]] = sizes.get(row["group"], 0) + 1
    assert all(len(one) == 1 for one in [*splits.values(), *labels.values()])
    assert set(sizes.values()) == {1, 2}


def test_seed_fixes_every_byte_and_another_seed_changes_them(folder, tmp_path):
    SyntheticLesions(**SMALL).write(tmp_path / "again")
    SyntheticLesions(**SMALL, seed=1).write(tmp_path / "other")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert all((folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in files)
    images = [name for name in files if name.suffix == ".jpg"]
    assert all((folder / name).read_bytes() != (tmp_path / "other" / name).read_bytes() for name in images)


def test_more_images_of_one_class_leave_the_others_as_they_were():
    few = list(SyntheticLesions(**SMALL).images())
    more = list(SyntheticLesions(**{**SMALL, "train_counts": (9, 3, 3, 2)}).images())
    np.testing.assert_array_equal(few[3].image, more[3].image)
    for one, other in zip(few[4:], more[9:], strict=True):
        np.testing.assert_array_equal(one.image, other.image)


# Bad input.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, r"seed must be 0 or more\. Received: -1"),
        ({"size_px": 8}, "size_px must be at least 32.*8"),
        ({"train_counts": (1, 2, 3)}, "train_counts must be 4 counts.*nevus.*Received"),
        ({"test_counts": (1, 1, 1, 0)}, "test_counts must be 4 counts"),
        ({"pattern_contrast": 0.0}, r"pattern_contrast must be in \(0, 1\]"),
        ({"cue_rare_train": 1.5}, "cue_rare_train is a probability.*1.5"),
        ({"cue_other_test": float("nan")}, "cue_other_test is a probability"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        SyntheticLesions(**arguments)


def test_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "lesions").write_text("mine")
    with pytest.raises(InputError, match=r"must be a folder, and .*lesions is a file"):
        SyntheticLesions(**SMALL).write(tmp_path / "lesions", overwrite=True)
    assert (tmp_path / "lesions").read_text() == "mine"


def test_overwrite_replaces_an_earlier_set_and_nothing_else(tmp_path):
    written, foreign = tmp_path / "written", tmp_path / "foreign"
    SyntheticLesions(**SMALL).write(written)
    (written / "images/extra.jpg").touch()
    with pytest.raises(InputError, match="written is not empty"):
        SyntheticLesions(**SMALL).write(written)
    SyntheticLesions(**SMALL).write(written, overwrite=True)
    assert not (written / "images/extra.jpg").exists()

    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"foreign has no truth\.csv"):
        SyntheticLesions(**SMALL).write(foreign, overwrite=True)
    assert [path.name for path in foreign.iterdir()] == ["thesis.txt"]


def test_a_failure_half_way_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(cv2, "imencode", fail)
    with pytest.raises(OSError, match="disk full"):
        SyntheticLesions(**SMALL).write(tmp_path / "lesions")
    assert not list(tmp_path.iterdir())
