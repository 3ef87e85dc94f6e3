"""The rows of a run; what `read_manifest` refuses is tested with it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from care_tf.data import read_manifest, write_manifest
from care_tf.errors import InputError
from care_tf.runs._box_share import draw_box_share
from care_tf.runs._name_draw import name_digest
from care_tf.runs._training_rows import read_training_rows


def test_training_boxes_of_another_size_keep_their_centers_and_stay_in_the_image(config):
    plain, larger = (read_training_rows(config(data__train_box_scale=scale)).train for scale in (1.0, 1.1))
    assert plain.has_boxes.any() and (plain.has_boxes == larger.has_boxes).all()
    for before, after in zip(plain.boxes, larger.boxes, strict=True):
        if not len(before):
            continue
        assert np.all((after >= 0) & (after <= 32))
        sides, centers = before[:, 2:] - before[:, :2], (before[:, 2:] + before[:, :2]) / 2
        expected = np.concatenate([centers - 0.55 * sides, centers + 0.55 * sides], axis=1)
        np.testing.assert_allclose(after, np.clip(expected, 0, 32), atol=1e-4)
    assert plain.fingerprint() != larger.fingerprint()


def test_randomly_placed_boxes_depend_on_the_seed_and_each_image_alone(config, data, tmp_path):
    given = read_training_rows(config()).train
    placed = read_training_rows(config(data__train_box_place="random")).train
    sides = [boxes[:, 2:] - boxes[:, :2] for boxes in given.boxes]
    for before, after, side in zip(given.boxes, placed.boxes, sides, strict=True):
        assert not np.any(np.all(before == after, axis=1))
        np.testing.assert_allclose(after[:, 2:] - after[:, :2], side, atol=1e-4)
    other = read_training_rows(config(data__train_box_place="random", seed=1)).train
    assert len({rows.fingerprint() for rows in (given, placed, other)}) == 3
    rows = read_manifest(data)
    turned = rows.subset(np.arange(len(rows))[::-1][: len(rows) - 3])  # fewer rows in another order
    write_manifest(turned, data.parent / "turned.csv")
    again = read_training_rows(config(data__manifest=str(data.parent / "turned.csv"), data__train_box_place="random"))
    boxes_of = dict(zip(placed.image_paths, placed.boxes, strict=True))
    assert 0 < len(again.train) <= len(placed)
    for path, boxes in zip(again.train.image_paths, again.train.boxes, strict=True):
        np.testing.assert_array_equal(boxes, boxes_of[path])


def test_boxes_as_large_as_their_images_stay_and_that_is_said(config):
    with pytest.warns(UserWarning, match=r"[0-9]+ of [0-9]+ training boxes fill their images so far .* and stay"):
        rows = read_training_rows(config(data__train_box_scale=10.0, data__train_box_place="random")).train
    assert all(boxes.tolist() == [[0, 0, 32, 32]] for boxes in rows.boxes if len(boxes) == 1)


def test_all_parts_are_resized_alike(config):
    assert {read_training_rows(config()).train.resize} == {"stretch"}
    rows = read_training_rows(config(data__resize="pad"))
    assert rows.validation is not None and rows.train.resize == rows.validation.resize == "pad"


def test_masks_have_no_size_to_change(config, data, tmp_path):
    rows = read_manifest(data)
    Image.fromarray(np.full((32, 32), 255, np.uint8)).save(tmp_path / "mask.png")
    masks = ("",) * (len(rows) - 1) + (str(tmp_path / "mask.png"),)
    boxes = (*rows.boxes[:-1], rows.boxes[0][:0])
    manifest = dataclasses.replace(rows, boxes=boxes, mask_paths=masks, splits=(*rows.splits[:-1], "train"))
    write_manifest(manifest, tmp_path / "masks.csv")
    for change, received in (({"data__train_box_scale": 0.9}, "0.9"), ({"data__train_box_place": "random"}, "random")):
        with pytest.raises(InputError, match=f"1 training images have a mask. Received {received}"):
            read_training_rows(config(data__manifest=str(tmp_path / "masks.csv"), **change))


def test_the_groups_of_a_smaller_share_of_boxes_are_among_those_of_a_larger_one(config):
    whole, kept = read_training_rows(config()).train, {}
    whole_groups = [group or row for row, group in enumerate(whole.groups)]
    assert len(set(whole_groups)) < len(whole)
    for share in (0.01, 0.25, 0.5, 1.0):
        train = read_training_rows(config(data__train_box_share=share)).train
        kept[share] = set(np.flatnonzero(train.has_boxes))
        for label in range(4):
            rows = np.flatnonzero((whole.labels == label) & whole.has_boxes)
            groups, chosen = ({whole_groups[row] for row in each} for each in (rows, kept[share] & set(rows)))
            assert len(chosen) == max(min(1, len(groups)), int(share * len(groups) + 0.5))
            assert kept[share] & set(rows) == {row for row in rows if whole_groups[row] in chosen}
    assert kept[0.01] <= kept[0.25] < kept[0.5] < kept[1.0]
    again = read_training_rows(config(data__train_box_share=0.25)).train
    assert set(np.flatnonzero(again.has_boxes)) == kept[0.25]
    others = [read_training_rows(config(data__train_box_share=0.25, seed=seed)).train for seed in (1, 2, 3)]
    assert any(set(np.flatnonzero(other.has_boxes)) != kept[0.25] for other in others)


@pytest.mark.parametrize("has_groups", [True, False])
def test_a_draw_does_not_depend_on_the_other_rows_or_on_where_they_lie(config, tmp_path, has_groups):
    rows = read_training_rows(config()).train
    rows = rows if has_groups else dataclasses.replace(rows, groups=())
    keep = draw_box_share(rows, 0.5, 3)
    part = rows.subset(np.arange(0, len(rows), 2))
    order = [name for name in rows.subset(keep).image_paths if name in part.image_paths]
    fewer = draw_box_share(part, 0.25, 3)
    assert set(part.subset(fewer).image_paths) <= set(order)
    names = [f"{tmp_path}/0.tfrecord/{7 * row}/image/{Path(name).name}" for row, name in enumerate(rows.image_paths)]
    there = dataclasses.replace(rows, image_paths=tuple(names), source=str(tmp_path / "manifest.csv"))
    np.testing.assert_array_equal(draw_box_share(there, 0.5, 3), keep)


def test_images_of_one_name_and_either_spelling_of_an_accent_have_a_place_in_the_draw(config):
    rows = read_training_rows(config()).train
    same = tuple(f"/{row}/1.png" for row in range(len(rows)))
    keep = draw_box_share(dataclasses.replace(rows, image_paths=same, groups=()), 0.4, 0)
    boxed = np.flatnonzero(rows.has_boxes)
    np.testing.assert_array_equal(np.flatnonzero(keep), boxed[: int(0.4 * len(boxed) + 0.5)])
    assert name_digest(0, "\u00e9.png") == name_digest(0, "e\u0301.png") != name_digest(1, "\u00e9.png")


NO_ATTENTION = {"stages": {"train": {"epochs": 1}}}


@pytest.fixture
def boxed(data, tmp_path):
    """Writes the data with boxes where a function of the rows says so."""

    def write(has_box):
        rows = read_manifest(data)
        boxes = [np.array([[4, 4, 20, 24]]) if each else np.zeros((0, 4)) for each in has_box(rows)]
        write_manifest(dataclasses.replace(rows, boxes=boxes, mask_paths=()), tmp_path / "boxed.csv")
        return {"data__manifest": str(tmp_path / "boxed.csv"), **NO_ATTENTION}

    return write


def test_images_are_changed_in_training_or_everywhere(config, boxed):
    whole = boxed(lambda rows: [True] * len(rows))

    def choices(**changes):
        rows = read_training_rows(config(**whole, **changes))
        return rows.train.outside_boxes, rows.validation.outside_boxes

    assert choices() == ("keep", "keep")
    assert choices(data__outside_boxes="crop") == ("crop", "keep")
    everywhere = config(**whole, data__outside_boxes="paint", data__outside_boxes_in="everywhere")
    rows = read_training_rows(everywhere)
    assert (rows.train.outside_boxes, rows.validation.outside_boxes) == ("paint", "paint")
    assert everywhere.data.test_reading["outside_boxes"] == "paint" and "told where" in everywhere.data.outside_note
    assert choices(data__outside_boxes_in="everywhere") == ("keep", "keep")


@pytest.mark.parametrize("part", ["test", "validation"])
@pytest.mark.parametrize("which", ["one class", "a quarter"])
def test_images_tested_of_which_some_classes_alone_have_boxes_are_not_changed(config, boxed, part, which):
    def has_box(rows):
        own = np.array(rows.splits) == part
        if which == "one class":
            return ~own | (rows.labels == 0)
        return ~own | (rows.labels > 0) | (np.arange(len(rows)) % 4 == 0)

    changes = {**boxed(has_box), "data__outside_boxes": "paint"}
    read_training_rows(config(**changes))
    told = rf"share of their images.*Received .* \d of \d.* of data.{part} .*boxed.csv.*outside_boxes_in=training"
    with pytest.raises(InputError, match=told):
        read_training_rows(config(**changes, data__outside_boxes_in="everywhere"))


def test_one_image_without_a_box_tells_nothing(config, boxed):
    def all_but_one(rows):
        return np.arange(len(rows)) != rows.splits.index("train")

    for where in ("training", "everywhere"):
        read_training_rows(config(**boxed(all_but_one), data__outside_boxes="crop", data__outside_boxes_in=where))


def test_a_change_that_tells_the_class_is_told(config):
    with pytest.warns(UserWarning, match=r"classes have boxes in different shares \(.* 0 of .*the change itself tells"):
        read_training_rows(config(data__outside_boxes="paint", **NO_ATTENTION))


def test_painting_beside_attention_supervision_is_told(config, boxed):
    changes = {**boxed(lambda rows: [True] * len(rows)), "stages": {"train": {"epochs": 1, "alpha": 0.5}}}
    with pytest.warns(UserWarning, match="gray outside their boxes, where alpha > 0 .*little left to teach"):
        read_training_rows(config(**changes, data__outside_boxes="paint"))


SWAP = {"care__form": {"name": "perturbation", "kind": "swap"}, "stages": {"train": {"epochs": 1, "alpha": 0.5}}}


@pytest.mark.parametrize(
    ("has_box", "mask_classes", "advice"),
    [
        (lambda rows: [True] * len(rows), ["nevus"], " and name it in data.mask_classes. Received nevus."),
        (lambda rows: rows.labels == rows.class_names.index("nevus"), None, "."),
    ],
)
def test_an_exchange_of_surroundings_within_one_class_is_told(config, boxed, has_box, mask_classes, advice):
    told = "those of nevus alone have boxes: a cue that goes with nevus stays with it. Give every class that the cue "
    with pytest.warns(UserWarning, match=f"{told}tells apart boxes{advice}$"):
        read_training_rows(config(**{**boxed(has_box), **SWAP}, data__mask_classes=mask_classes))


@pytest.mark.parametrize(
    "changes",
    [
        {"data__mask_classes": ["nevus", "melanoma"]},
        {"data__mask_classes": ["nevus"], "care__form": "perturbation"},
        {"data__mask_classes": ["nevus"], "stages": {"train": {"epochs": 1}}},  # alpha 0
    ],
)
def test_boxes_on_several_classes_or_another_use_of_them_tell_nothing_of_an_exchange(config, boxed, recwarn, changes):
    read_training_rows(config(**{**boxed(lambda rows: [True] * len(rows)), **SWAP, **changes}))
    assert not recwarn.list


def test_test_images_of_classes_whose_boxes_training_lacks_are_not_changed(config, data):
    name = read_manifest(data).class_names[0]
    changes = {"data__outside_boxes": "paint", "data__outside_boxes_in": "everywhere", "data__mask_classes": [name]}
    with pytest.raises(InputError, match="everywhere changes test images of all classes.*Name all classes, or none"):
        read_training_rows(config(**changes, **NO_ATTENTION))
