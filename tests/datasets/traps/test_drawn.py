"""The drawn trap: exact shares, one encoding, boxes untouched, pairs that differ in the mark alone."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from care_tf.box_geometry import union_mask
from care_tf.data import read_manifest
from care_tf.data.manifest import write_manifest
from care_tf.datasets.synthetic_lesions import SyntheticLesions
from care_tf.datasets.traps import drawn_trap
from care_tf.datasets.traps._marks import MARKS
from care_tf.errors import InputError
from care_tf.images.pixels import read_image

RARE = "dermatofibroma"


@pytest.fixture(scope="module")
def lesions(tmp_path_factory):
    """Drawn lesions without a cue of their own; all splits, so that every image but some has its box."""
    folder = tmp_path_factory.mktemp("lesions") / "drawn"
    counts = {"train_counts": (1, 1, 1, 1), "validation_counts": (1, 1, 1, 1), "test_counts": (40, 1, 30, 30)}
    SyntheticLesions(size_px=48, cue_other_test=0.0, **counts).write(folder)
    return read_manifest(folder / "manifest.csv").select(split="test")


@pytest.fixture(scope="module")
def made(lesions, tmp_path_factory):
    return drawn_trap(
        lesions, "sticker", tmp_path_factory.mktemp("trap"), positive=[RARE], negative=["nevus", "melanoma"], share=0.9
    )


def rows_of(made):
    labels = np.array(made.class_names)[made.labels].tolist()
    columns = (made.splits, labels, made.inputs["cue"], made.inputs["pair"], made.groups, made.image_paths)
    return list(zip(*columns, strict=True))


def test_the_share_is_exact_in_training_and_validation(made):
    counts = Counter((split, label, cue) for split, label, cue, *_ in rows_of(made))
    for split in ("train", "val"):
        for label in (RARE, "nevus", "melanoma"):
            agreeing, other = ("sticker", "none") if label == RARE else ("none", "sticker")
            agree, differ = counts[split, label, agreeing], counts[split, label, other]
            assert agree == round(0.9 * (agree + differ)) and agree > 0


def test_no_lesion_is_in_training_and_a_test(made):
    sides = {}
    for split, _, _, _, group, _ in rows_of(made):
        sides.setdefault(group, set()).add("test" if split.startswith("test") else split)
    assert all(len(splits) == 1 for splits in sides.values())


def test_the_tests(made):
    rows = rows_of(made)
    cells = {split: {(label == RARE, cue) for own, label, cue, *_ in rows if own == split} for split in made.splits}
    assert {cue for _, cue in cells["test_clean"]} == {"none"}
    assert cells["test_reversed"] == {(True, "none"), (False, "sticker")}
    counts = Counter((label, cue) for split, label, cue, *_ in rows if split == "test_balanced")
    assert all(counts[label, "sticker"] == counts[label, "none"] > 0 for label in made.class_names)
    num_images = Counter(split for split, *_ in rows)
    assert num_images["test_balanced"] == 2 * num_images["test_clean"] == 2 * num_images["test_reversed"]


def test_a_pair_differs_beside_the_box_alone(made):
    boxes = dict(zip(made.image_paths, made.boxes, strict=True))
    pairs = {}
    for split, _, cue, pair, _, path in rows_of(made):
        if split == "test_balanced":
            pairs.setdefault(pair, {})[cue] = path
    assert len(pairs) > 10
    for paths in pairs.values():
        marked, plain = read_image(paths["sticker"]), read_image(paths["none"])
        changed = (marked != plain).any(axis=-1)
        inside = union_mask(boxes[paths["none"]], *plain.shape[:2])
        np.testing.assert_array_equal(boxes[paths["none"]], boxes[paths["sticker"]])
        assert changed.any() and inside.any() and not changed[inside].any()


def test_unmarked_images_keep_their_pixels_and_all_are_encoded_alike(made, lesions):
    source = {Path(path).stem: path for path in lesions.image_paths}
    for _, _, cue, _, _, path in rows_of(made):
        if cue == "none":
            stem = Path(path).stem.partition("_")[2]
            np.testing.assert_array_equal(read_image(path), read_image(source[stem]))
        with Image.open(path) as image:
            assert (image.format, image.mode, sorted(image.info)) == ("PNG", "RGB", [])


@pytest.mark.parametrize("mark", MARKS)
def test_a_seed_makes_the_same_files(lesions, tmp_path, mark):
    chosen = lesions.subset(np.isin(lesions.labels, [0, 3]))
    chosen = type(chosen)(chosen.image_paths, chosen.labels // 3, ("a", "b"), boxes=chosen.boxes, groups=chosen.groups)
    files = []
    for name in ("first", "again"):
        made = drawn_trap(chosen, mark, tmp_path / name, positive=["a"], max_images=4, seed=5)
        write_manifest(made, tmp_path / f"{name}.csv")
        folder = tmp_path / name
        files.append({path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.png"))})
    assert files[0] == files[1] and len(files[0]) > 20


def test_images_without_room_are_left_out_whatever_their_class(lesions, tmp_path):
    boxes = [np.array([[0, 0, 48, 48]]) if i % 3 == 0 else each for i, each in enumerate(lesions.boxes)]
    full = type(lesions)(lesions.image_paths, lesions.labels, lesions.class_names, boxes=boxes, groups=lesions.groups)
    made = drawn_trap(full, "decoy", tmp_path, positive=[RARE], negative=["nevus", "melanoma"])
    assert not any(np.array_equal(each, [[0, 0, 48, 48]]) for each in made.boxes)
    assert {split for split, *_ in rows_of(made)} == {"train", "val", "test_clean", "test_balanced", "test_reversed"}


def changed(lesions, **changes):
    fields = {"image_paths": lesions.image_paths, "labels": lesions.labels, "class_names": lesions.class_names}
    return type(lesions)(**{**fields, "boxes": list(lesions.boxes), "groups": lesions.groups, **changes})


def test_a_class_without_room_is_refused(lesions, tmp_path):
    rare = lesions.labels == lesions.class_names.index(RARE)
    boxes = [np.array([[0, 0, 48, 48]]) if own else each for own, each in zip(rare, lesions.boxes, strict=True)]
    with pytest.raises(InputError, match=f"Received none of {RARE} for train, where boxes leave no room"):
        drawn_trap(changed(lesions, boxes=boxes), "decoy", tmp_path, positive=[RARE], negative=["nevus", "melanoma"])


def test_views_of_an_image_are_one_lesion_without_groups_and_missing_boxes_are_told(lesions, tmp_path):
    boxes = [np.zeros((0, 4)) if i == 0 else each for i, each in enumerate(lesions.boxes)]
    bare = changed(lesions, boxes=boxes, groups=("",) * len(lesions))
    with pytest.warns(UserWarning, match=r"1 of \d+ images have neither boxes nor a mask"):
        made = drawn_trap(bare, "decoy", tmp_path, positive=[RARE], negative=["nevus", "melanoma"])
    groups_of = {}
    for _, _, _, pair, group, _ in rows_of(made):
        if pair:
            groups_of.setdefault(pair, []).append(group)
    assert all(len(groups) == 2 and len(set(groups)) == 1 for groups in groups_of.values())
    assert len({group for group, _ in groups_of.values()}) == len(groups_of) > 20


def test_the_manifest_is_read_back_with_its_columns_and_without_a_warning(made, tmp_path):
    write_manifest(made, tmp_path / "manifest.csv")
    again = read_manifest(tmp_path / "manifest.csv", inputs=["cue", "pair"])
    assert again.inputs == dict(made.inputs) and again.splits == made.splits
    read_manifest(tmp_path / "manifest.csv")  # warnings are errors


def test_an_unknown_mark_is_refused(lesions, tmp_path):
    with pytest.raises(InputError, match="must be one of decoy, sticker.*Received stiker. Did you mean 'sticker'"):
        drawn_trap(lesions, "stiker", tmp_path, positive=[RARE])
