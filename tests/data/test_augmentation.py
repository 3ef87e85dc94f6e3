import colorsys
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from care_tf.data import augmentation as module
from care_tf.data.augmentation import Augmentation, augment_batch, augmented_classes, flip_signs
from care_tf.errors import InputError

_NONE = {
    "rotation_degrees": 0.0,
    "horizontal_flip": False,
    "vertical_flip": False,
    "brightness": 0.0,
    "contrast": 0.0,
    "saturation": 0.0,
    "hue": 0.0,
}
_COLOR = ("brightness", "contrast", "saturation", "hue")


def _only(**parts):
    return Augmentation(**{**_NONE, **parts})


def _images(batch=4, height=9, width=11, seed=0):
    return tf.constant(np.random.default_rng(seed).uniform(0, 255, (batch, height, width, 3)).astype(np.float32))


def _seeds(batch=4, key=7):
    return tf.constant([[key, index] for index in range(batch)], tf.int64)


def _fixed_draws(monkeypatch, *draws):
    """Replaces the random draws of every image: angle, flip x, flip y, brightness, contrast, saturation, hue."""
    monkeypatch.setattr(module, "_draws", lambda seed: tf.constant(draws, tf.float32))


def _warp_slowly(image, angle, flip_x, flip_y):
    """Pixel by pixel: where does an output pixel come from, and what stands there, mirrored outside the frame."""
    height, width = image.shape[:2]
    result = np.zeros_like(image)

    def mirrored(position, size):
        position %= 2 * size
        return position if position < size else 2 * size - 1 - position

    for row in range(height):
        for column in range(width):
            x, y = column - (width - 1) / 2, row - (height - 1) / 2
            x, y = math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y
            x = (-x if flip_x else x) + (width - 1) / 2
            y = (-y if flip_y else y) + (height - 1) / 2
            left, top = math.floor(x), math.floor(y)
            for corner_y, weight_y in ((top, top + 1 - y), (top + 1, y - top)):
                for corner_x, weight_x in ((left, left + 1 - x), (left + 1, x - left)):
                    source = image[mirrored(corner_y, height), mirrored(corner_x, width)]
                    result[row, column] += weight_x * weight_y * source
    return result


@pytest.mark.parametrize("flips", [(1.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)])
@pytest.mark.parametrize("angle", [0.0, 0.3, -0.7, 1.0])
def test_rotation_and_flips_agree_with_a_slow_warp(monkeypatch, flips, angle):
    _fixed_draws(monkeypatch, angle, *flips, 0, 0, 0, 0)
    images = _images(1)
    moved, _ = augment_batch(
        images, None, _seeds(1), _only(rotation_degrees=60.0, horizontal_flip=True, vertical_flip=True)
    )
    expected = _warp_slowly(images[0].numpy().astype(np.float64), math.radians(60 * angle), flips[0] < 0, flips[1] < 0)
    np.testing.assert_allclose(moved[0], expected, atol=0.05)


def test_color_parts_agree_with_their_definitions(monkeypatch):
    _fixed_draws(monkeypatch, 0, 0, 0, 0.5, -0.5, 0.8, 0)
    image = _images(1).numpy()[0]
    luma = image @ np.array([0.299, 0.587, 0.114])
    expected = {
        "brightness": image + 0.5 * 0.2 * 255,
        "contrast": luma.mean() + (1 - 0.5 * 0.2) * (image - luma.mean()),
        "saturation": luma[..., None] + (1 + 0.8 * 0.2) * (image - luma[..., None]),
    }
    for part, values in expected.items():
        recolored, _ = augment_batch(image[None], None, _seeds(1), _only(**{part: 0.2}))
        np.testing.assert_allclose(recolored[0], np.clip(values, 0, 255), atol=0.2)


@pytest.mark.parametrize("turn", [-0.1, 0.05, 0.1])
def test_hue_keeps_the_luma_and_turns_the_hue(monkeypatch, turn):
    _fixed_draws(monkeypatch, 0, 0, 0, 0, 0, 0, turn / 0.1)
    image = np.array([[[140, 110, 100], [120, 140, 118], [110, 115, 140]]], np.float32)
    recolored = augment_batch(image[None], None, _seeds(1), _only(hue=0.1))[0].numpy()[0]
    np.testing.assert_allclose(recolored @ [0.299, 0.587, 0.114], image @ [0.299, 0.587, 0.114], atol=0.2)
    for before, after in zip(image[0] / 255, recolored[0] / 255, strict=True):
        moved = (colorsys.rgb_to_hsv(*after)[0] - colorsys.rgb_to_hsv(*before)[0] + 0.5) % 1 - 0.5
        assert abs(abs(moved) - abs(turn)) < 0.045  # a turn in YIQ is not exactly one in HSV
        assert len({np.sign(moved), np.sign(-turn)} - {0.0}) in (1, 2)


def test_all_colors_at_once_are_the_parts_one_after_the_other(monkeypatch):
    _fixed_draws(monkeypatch, 0, 0, 0, 0.3, -0.6, 0.4, 0.9)
    image = tf.constant(np.random.default_rng(0).uniform(90, 160, (1, 5, 5, 3)).astype(np.float32))
    together, _ = augment_batch(image, None, _seeds(1), _only(brightness=0.1, contrast=0.2, saturation=0.2, hue=0.05))
    for part, strength in (("saturation", 0.2), ("hue", 0.05), ("contrast", 0.2), ("brightness", 0.1)):
        image, _ = augment_batch(image, None, _seeds(1), _only(**{part: strength}))
    np.testing.assert_allclose(together, image, atol=0.05)


def test_nothing_to_draw_returns_the_very_inputs():
    images, masks = _images(), tf.ones((4, 9, 11, 1))
    same_images, same_masks = augment_batch(images, masks, _seeds(), _only())
    assert same_images is images
    assert same_masks is masks


def test_flips_move_whole_pixels():
    images = _images(16)
    moved, _ = augment_batch(images, None, _seeds(16), _only(horizontal_flip=True, vertical_flip=True))
    kinds = set()
    for before, after in zip(images.numpy(), moved.numpy(), strict=True):
        candidates = [before, before[:, ::-1], before[::-1], before[::-1, ::-1]]
        kinds.add([np.abs(after - candidate).max() < 1e-3 for candidate in candidates].index(True))
    assert kinds == {0, 1, 2, 3}


@pytest.mark.parametrize("flips", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("size", [(9, 11), (16, 16), (5, 8)])
def test_flip_signs_say_bit_for_bit_what_flips_do(flips, size):
    images = _images(16, *size)
    masks = tf.constant(np.random.default_rng(1).integers(0, 2, (16, *size, 1)).astype(np.float32))
    augmentation = _only(horizontal_flip=flips[0], vertical_flip=flips[1])
    signs = flip_signs(_seeds(16), augmentation).numpy().astype(int)
    moved = augment_batch(images, masks, _seeds(16), augmentation)
    for before, after in zip((images.numpy(), masks.numpy()), moved, strict=True):
        reversed_ = [image[::y, ::x] for image, (x, y) in zip(before, signs, strict=True)]
        np.testing.assert_array_equal(after, reversed_)
    assert [set(column) for column in signs.T] == [{-1, 1} if flip else {1} for flip in flips]


def test_flip_signs_are_those_of_a_full_augmentation():
    signs = flip_signs(_seeds(16), Augmentation())
    np.testing.assert_array_equal(signs, flip_signs(_seeds(16), _only(horizontal_flip=True, vertical_flip=True)))
    assert signs.dtype == tf.float32 and signs.shape == (16, 2)


@pytest.mark.parametrize("with_masks", [True, False])
@pytest.mark.parametrize("chosen", [[True, False, False, True], [False] * 4, [True] * 4])
def test_images_that_are_not_chosen_come_back_bit_for_bit(chosen, with_masks):
    images = _images()
    masks = tf.constant(np.random.default_rng(1).integers(0, 2, (4, 9, 11, 1)).astype(np.float32))
    masks = masks if with_masks else None
    everywhere = augment_batch(images, masks, _seeds(), Augmentation())
    some = augment_batch(images, masks, _seeds(), Augmentation(), tf.constant(chosen))
    for before, whole, after in zip((images, masks), everywhere, some, strict=True):
        if before is None:
            assert after is None
            continue
        for i, is_chosen in enumerate(chosen):
            if is_chosen:
                np.testing.assert_allclose(after[i], whole[i], atol=1e-3)
                assert not np.array_equal(after[i], before[i])
            else:
                np.testing.assert_array_equal(after[i], before[i])


def test_chosen_images_work_in_a_graph_with_an_unknown_batch_size():
    signature = [
        tf.TensorSpec((None, 9, 11, 3)),
        tf.TensorSpec((None, 9, 11, 1)),
        tf.TensorSpec((None, 2), tf.int64),
        tf.TensorSpec((None,), tf.bool),
    ]
    compiled = tf.function(
        lambda images, masks, seeds, chosen: augment_batch(images, masks, seeds, Augmentation(), chosen),
        input_signature=signature,
    )
    images, chosen = _images(), tf.constant([False, True, False, False])
    moved, masks = compiled(images, tf.ones((4, 9, 11, 1)), _seeds(), chosen)
    assert (np.abs(moved - images).max((1, 2, 3)) > 1).tolist() == chosen.numpy().tolist()
    assert masks.shape == (4, 9, 11, 1)


def test_classes_become_the_labels_that_are_augmented():
    names = ("MEL", "NV", "DF")
    assert augmented_classes(names, Augmentation()) is None
    assert augmented_classes(names, Augmentation(classes=("DF", "NV", "MEL"))) is None
    assert augmented_classes(names, Augmentation(classes=["DF", "MEL"])).tolist() == [True, False, True]


def test_classes_are_kept_as_a_tuple():
    assert Augmentation(classes=["DF", "MEL"]) == Augmentation(classes=("DF", "MEL"))
    assert hash(Augmentation(classes=["DF"])) == hash(Augmentation(classes=("DF",)))
    assert Augmentation().classes is None


@pytest.mark.parametrize(
    ("augmentation", "only_flips"),
    [
        (Augmentation(), False),
        (_only(horizontal_flip=True), True),
        (_only(vertical_flip=True, classes=("DF",)), True),
        (_only(), True),
        *((_only(horizontal_flip=True, **{part: 0.1}), False) for part in ("rotation_degrees", *_COLOR)),
    ],
)
def test_only_flips_is_true_where_nothing_else_is_on(augmentation, only_flips):
    assert augmentation.only_flips is only_flips


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**40), st.integers(1, 5))
def test_an_image_that_equals_its_mask_still_does_afterwards(key, side):
    masks = np.zeros((3, 16, 16, 1), np.float32)
    masks[:, 5 : 5 + side, 6 : 6 + side] = 1
    images = tf.constant(np.repeat(masks * 255, 3, axis=-1))
    augmentation = Augmentation(**{part: 0.0 for part in _COLOR})
    moved, moved_masks = augment_batch(images, tf.constant(masks), _seeds(3, key), augmentation)
    level = np.minimum(moved.numpy().max((1, 2, 3), keepdims=True), 127.5)
    clear = np.abs(moved.numpy()[..., :1] - level) > 2  # the masks move as bytes
    np.testing.assert_array_equal((moved.numpy()[..., :1] > level)[clear], (moved_masks.numpy() > 0)[clear])
    assert set(np.unique(moved_masks)) <= {0.0, 1.0}
    assert (moved_masks.numpy().sum((1, 2, 3)) > 0).all()


@settings(max_examples=6, deadline=None)
@given(st.permutations(range(4)))
def test_permuting_the_batch_permutes_the_results(order):
    images, masks = _images(), tf.constant(np.random.default_rng(1).integers(0, 2, (4, 9, 11, 1)).astype(np.float32))
    whole = augment_batch(images, masks, _seeds(), Augmentation())
    permuted = augment_batch(*(tf.gather(part, order) for part in (images, masks, _seeds())), Augmentation())
    alone = augment_batch(images[2:3], masks[2:3], _seeds()[2:3], Augmentation())
    for both, some, one in zip(whole, permuted, alone, strict=True):
        np.testing.assert_allclose(tf.gather(both, order), some, atol=1e-3)
        np.testing.assert_allclose(both[2:3], one, atol=1e-3)


def test_other_seeds_give_other_results_and_the_same_seeds_the_same():
    images = tf.repeat(_images(1), 3, axis=0)
    first, _ = augment_batch(images, None, _seeds(3), Augmentation())
    again, _ = augment_batch(images, None, _seeds(3), Augmentation())
    other, _ = augment_batch(images, None, _seeds(3, key=8), Augmentation())
    np.testing.assert_array_equal(first, again)
    assert np.abs(first[0] - first[1]).max() > 1
    assert np.abs(first - other).max((1, 2, 3)).min() > 1


def test_results_stay_in_range_and_empty_masks_stay_empty():
    images = tf.constant(np.random.default_rng(0).choice([0.0, 255.0], (8, 9, 11, 3)).astype(np.float32))
    strong = Augmentation(brightness=1.0, contrast=1.0, saturation=1.0, hue=0.5)
    moved, masks = augment_batch(images, tf.zeros((8, 9, 11, 1)), _seeds(8), strong)
    assert 0 <= moved.numpy().min() <= moved.numpy().max() <= 255
    assert masks.numpy().sum() == 0


def test_it_runs_in_a_graph_with_an_unknown_batch_size():
    signature = [tf.TensorSpec((None, 9, 11, 3)), tf.TensorSpec((None, 9, 11, 1)), tf.TensorSpec((None, 2), tf.int64)]
    compiled = tf.function(lambda *batch: augment_batch(*batch, Augmentation()), input_signature=signature)
    masks = tf.constant(np.random.default_rng(1).integers(0, 2, (4, 9, 11, 1)).astype(np.float32))
    for one, other in zip(
        compiled(_images(), masks, _seeds()), augment_batch(_images(), masks, _seeds(), Augmentation()), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "value"),
    [("rotation_degrees", 181), ("brightness", -0.1), ("contrast", 1.1), ("saturation", float("nan")), ("hue", 0.6)],
)
def test_strengths_out_of_range_are_refused(name, value):
    with pytest.raises(InputError, match=f"Augmentation {name} must be between 0 and"):
        Augmentation(**{name: value})


@pytest.mark.parametrize("classes", ["DF", [], [3], 3])
def test_classes_that_are_no_list_of_names_are_refused(classes):
    with pytest.raises(InputError, match="Augmentation classes must be a list of one or more class names, .*Received"):
        Augmentation(classes=classes)


def test_a_class_that_the_manifest_does_not_have_is_refused():
    with pytest.raises(InputError, match="classes names AK, VASC, which the manifest does not have. Classes: MEL, NV"):
        augmented_classes(("MEL", "NV"), Augmentation(classes=("VASC", "MEL", "AK")))
