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
    with pytest.raises(InputError, match="1 training images have a mask. Received 0.9"):
        read_training_rows(config(data__manifest=str(tmp_path / "masks.csv"), data__train_box_scale=0.9))


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
