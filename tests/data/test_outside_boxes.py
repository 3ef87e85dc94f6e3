"""Images painted or cropped outside their boxes, against slow NumPy; caches, shards, fingerprints."""

import dataclasses
import functools
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from care_tf.data import Augmentation, Manifest, evaluation_dataset, training_dataset, with_masks
from care_tf.data.activation_cache import activation_evaluation_dataset, compute_activations
from care_tf.data.image_source import image_loader, images_key
from care_tf.data.shards import write_shards
from care_tf.errors import InputError
from care_tf.images.decoding import decode_mask_named
from care_tf.images.outside_boxes import PAINT_LEVEL
from care_tf.images.resizing import placement, resize_images

HEIGHT, WIDTH, SIZE = 24, 40, (12, 10)
BOXES = ([], [[3.5, 2, 20.25, 9.1], [18, 6, 30, 22.5]], [[7, 5, 8, 6]], [], [[0, 0, 40, 24]], [], [])


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Images without a box, with two, of a pixel, as large; with a mask of half the size, and with one of nothing."""
    folder, random = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = [str(folder / f"{i}.png") for i in range(7)]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)).save(path)
    Image.fromarray(_region()).save(folder / "mask.png")
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(folder / "nothing.png")
    masks = ("", "", "", "", "", str(folder / "mask.png"), str(folder / "nothing.png"))
    boxes = [np.array(each, np.float32).reshape(-1, 4) for each in BOXES]
    return Manifest(tuple(paths), [0, 1, 0, 1, 0, 1, 0], ("a", "b"), boxes, masks, source=str(folder / "manifest.csv"))


@pytest.fixture(scope="module")
def read(manifest):
    """Images and masks of the manifest by its choice and resize, read once: a data set takes seconds to build."""
    return functools.cache(lambda choice, resize: _batch(_changed(manifest, choice, resize=resize)))


def _region():
    region = np.zeros((HEIGHT // 2, WIDTH // 2), np.uint8)
    region[3:7, 4:5] = 255
    region[6, 4:16] = 1
    return region


def _changed(manifest, choice, **others):
    return dataclasses.replace(manifest, outside_boxes=choice, **others)


def _batch(manifest, **arguments):
    (x, _), *rest = evaluation_dataset(manifest, SIZE, 7, masks=True, **arguments)
    assert not rest
    return x["image"].numpy(), x["mask"].numpy()


def _slow_region(row):
    """x0, y0, x1, y1 of the pixels that a box or the mask touches, pixel by pixel."""
    touched = []
    for y in range(HEIGHT):
        for x in range(WIDTH):
            in_box = any(x < b[2] and x + 1 > b[0] and y < b[3] and y + 1 > b[1] for b in BOXES[row])
            if in_box or (row == 5 and _region()[y // 2, x // 2] > 0):
                touched.append((x, y))
    if not touched:
        return 0, 0, WIDTH, HEIGHT
    columns, rows = zip(*touched, strict=True)
    return min(columns), min(rows), max(columns) + 1, max(rows) + 1


def _resized(pixels, resize):
    return resize_images(tf.constant(pixels), SIZE, resize).numpy()


def _slow_box_mask(boxes, size, resize):
    """Whether a pixel's center lies in a box, pixel by pixel, in the frame of the network."""
    place = placement(tf.constant(size), SIZE, resize)
    top, left, height, width = (int(number) for number in place)
    mask = np.zeros((*SIZE, 1), np.float32)
    for x0, y0, x1, y1 in boxes:
        for y in range(SIZE[0]):
            for x in range(SIZE[1]):
                own_x, own_y = (x + 0.5 - left) * size[1] / width, (y + 0.5 - top) * size[0] / height
                mask[y, x] = max(mask[y, x], x0 <= own_x < x1 and y0 <= own_y < y1)
    return mask


@pytest.mark.parametrize("resize", ["stretch", "pad"])
def test_cropping_resizes_the_smallest_part_that_holds_the_boxes_with_its_mask(manifest, read, resize):
    images, masks = read("crop", resize)
    for row, path in enumerate(manifest.image_paths):
        x0, y0, x1, y1 = _slow_region(row)
        pixels = np.asarray(Image.open(path))
        np.testing.assert_array_equal(images[row], _resized(pixels[y0:y1, x0:x1], resize), str(row))
        if row != 5:
            own = [[a - x0, b - y0, c - x0, d - y0] for a, b, c, d in BOXES[row]]
            np.testing.assert_array_equal(masks[row], _slow_box_mask(own, (y1 - y0, x1 - x0), resize), str(row))
    # The mask at the size of its image, cropped, written and read as any mask.
    x0, y0, x1, y1 = _slow_region(5)
    part = np.repeat(np.repeat(_region(), 2, axis=0), 2, axis=1)[y0:y1, x0:x1]
    contents = tf.io.encode_png(tf.constant(part[..., np.newaxis]))
    place = placement(tf.constant(part.shape), SIZE, resize)
    np.testing.assert_array_equal(masks[5], decode_mask_named(contents, tf.constant("m.png"), SIZE, place))
    assert masks[5].any()


def test_painting_leaves_the_pixels_of_the_mask_and_no_others(read):
    whole, masks = read("keep", "pad")
    images, same_masks = read("paint", "pad")
    np.testing.assert_array_equal(masks, same_masks)
    for row in range(7):
        for y in range(SIZE[0]):
            for x in range(SIZE[1]):
                stays = masks[row, y, x, 0] == 1 or not masks[row].any()
                np.testing.assert_array_equal(images[row, y, x], whole[row, y, x] if stays else [PAINT_LEVEL] * 3)
    assert (images[0] == whole[0]).all() and (images[1] != whole[1]).any()


def test_a_mask_of_nothing_is_no_box(read):
    for choice in ("paint", "crop"):
        images, masks = read(choice, "pad")
        np.testing.assert_array_equal(images[6], read("keep", "pad")[0][6])
        assert not masks[6].any()


@pytest.mark.parametrize(("choice", "resize"), [("paint", "pad"), ("crop", "stretch")])
def test_caches_shards_and_activations_hold_the_changed_images(manifest, read, tmp_path, choice, resize):
    changed = _changed(manifest, choice, resize=resize)
    images, masks = read(choice, resize)
    shards = _changed(write_shards(manifest, tmp_path / "shards").manifest, choice, resize=resize)
    found = {"cache": _batch(changed, cache=tmp_path / "cache"), "shards": _batch(shards)}
    for name, (others, other_masks) in found.items():
        np.testing.assert_array_equal(images, others, name)
        np.testing.assert_array_equal(masks, other_masks, name)
    cache = compute_activations(changed, image_loader(changed, SIZE, None), lambda batch: batch, ((1, 1),))
    x, _ = next(iter(activation_evaluation_dataset(changed, cache, SIZE, 7, masks=True)))
    np.testing.assert_array_equal(x["activation"], images)
    np.testing.assert_array_equal(x["mask"], masks)


def test_training_images_are_changed_before_they_are_augmented(manifest, read):
    flips = Augmentation(rotation_degrees=0, brightness=0, contrast=0, saturation=0, hue=0)
    cropped = _changed(manifest, "crop", resize="pad")
    images, _ = read("crop", "pad")
    dataset = training_dataset(cropped, SIZE, 7, seed=0, augmentation=flips, shuffle=False, first_epoch=0)
    x, _ = next(iter(dataset))
    for row in range(7):
        flipped = [images[row][::y, ::x] for y in (1, -1) for x in (1, -1)]
        assert any(np.array_equal(each, x["image"][row]) for each in flipped)


def test_keys_change_with_boxes_only_where_these_change_images(manifest, tmp_path):
    mask = shutil.copy(manifest.mask_paths[5], tmp_path / "mask.png")
    manifest = dataclasses.replace(manifest, mask_paths=(*manifest.mask_paths[:5], str(mask), ""))
    moved = dataclasses.replace(
        manifest, boxes=[each + np.float32(0) for each in manifest.boxes[:4]] + [[[1, 1, 2, 2]], [], []]
    )
    assert images_key(manifest, SIZE) == images_key(moved, SIZE)
    every = [_changed(rows, choice) for rows in (manifest, moved) for choice in ("paint", "crop")]
    keys = {images_key(rows, SIZE) for rows in [manifest, *every]}
    Image.fromarray(np.full((HEIGHT, WIDTH), 9, np.uint8)).save(mask)  # a mask counts, too
    keys.add(images_key(every[0], SIZE))
    assert len(keys) == 6
    assert len({rows.fingerprint() for rows in [manifest, moved, *every]}) == 6
    assert _changed(manifest, "keep").fingerprint() == manifest.fingerprint()


def test_an_unknown_choice_is_refused_and_a_data_set_of_one_s_own_stays_whole(manifest):
    with pytest.raises(InputError, match="must be one of keep, paint, crop. Received 'blur'"):
        _changed(manifest, "blur")
    own = tf.data.Dataset.from_tensor_slices(
        (np.stack([np.asarray(Image.open(p)) for p in manifest.image_paths]), [0] * 7)
    )
    masked = [
        next(iter(with_masks(own, rows, manifest.image_paths).batch(7)))[0]["mask"]
        for rows in (manifest, _changed(manifest, "crop"))
    ]
    np.testing.assert_array_equal(*masked)
