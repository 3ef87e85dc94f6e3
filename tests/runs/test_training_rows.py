"""The rows of a run; what `read_manifest` refuses is tested with it."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from care_tf.data import read_manifest, write_manifest
from care_tf.errors import InputError
from care_tf.runs._box_share import draw_box_share
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


def test_the_images_of_a_smaller_share_of_boxes_are_among_those_of_a_larger_one(config):
    whole, kept = read_training_rows(config()).train, {}
    for share in (0.01, 0.25, 0.5, 1.0):
        train = read_training_rows(config(data__train_box_share=share)).train
        kept[share] = set(np.flatnonzero(train.has_boxes))
        for label in range(4):
            rows = np.flatnonzero((whole.labels == label) & whole.has_boxes)
            least = min(1, len(rows))
            assert len(kept[share] & set(rows)) == max(least, int(share * len(rows) + 0.5))
    assert kept[0.01] <= kept[0.25] < kept[0.5] < kept[1.0]
    again = read_training_rows(config(data__train_box_share=0.25)).train
    assert set(np.flatnonzero(again.has_boxes)) == kept[0.25]
    other = read_training_rows(config(data__train_box_share=0.25, seed=1)).train
    assert set(np.flatnonzero(other.has_boxes)) != kept[0.25]


def test_an_image_s_draw_does_not_depend_on_the_other_rows_or_on_where_they_lie(config, data, tmp_path):
    rows = read_training_rows(config()).train
    keep = draw_box_share(rows, 0.5, 3)
    part = rows.subset(np.arange(0, len(rows), 2))
    order = [name for name in rows.subset(keep).image_paths if name in part.image_paths]
    fewer = draw_box_share(part, 0.25, 3)
    assert set(part.subset(fewer).image_paths) <= set(order)
    moved = [path.replace(str(data.parent), str(tmp_path / "elsewhere")) for path in rows.image_paths]
    there = dataclasses.replace(rows, image_paths=tuple(moved), source=str(tmp_path / "elsewhere" / data.name))
    np.testing.assert_array_equal(draw_box_share(there, 0.5, 3), keep)


@pytest.mark.filterwarnings("ignore:data.outside_boxes")
def test_images_are_changed_in_training_or_everywhere(config):
    def choices(**changes):
        rows = read_training_rows(config(**changes))
        return rows.train.outside_boxes, rows.validation.outside_boxes

    assert choices() == ("keep", "keep")
    assert choices(data__outside_boxes="crop") == ("crop", "keep")
    everywhere = config(data__outside_boxes="paint", data__outside_boxes_in="everywhere")
    rows = read_training_rows(everywhere)
    assert (rows.train.outside_boxes, rows.validation.outside_boxes) == ("paint", "paint")
    assert everywhere.data.test_reading["outside_boxes"] == "paint" and "told where" in everywhere.data.outside_note
    assert choices(data__outside_boxes_in="everywhere") == ("keep", "keep")


def test_a_change_that_tells_the_class_is_told(config):
    with pytest.warns(UserWarning, match=r"classes have boxes in different shares \(.* 0 of .*the change itself tells"):
        read_training_rows(config(data__outside_boxes="paint"))


def test_test_images_of_classes_whose_boxes_training_lacks_are_not_changed(config, data):
    name = read_manifest(data).class_names[0]
    changes = {"data__outside_boxes": "paint", "data__outside_boxes_in": "everywhere", "data__mask_classes": [name]}
    with pytest.raises(InputError, match="everywhere changes test images of all classes.*Name all classes, or none"):
        read_training_rows(config(**changes))
