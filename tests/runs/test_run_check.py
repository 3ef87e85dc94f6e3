"""`check_run` on networks whose reason is known: one looks at the middle of the image, one at a corner."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from care_tf.data import Manifest, write_manifest
from care_tf.errors import InputError
from care_tf.runs import run_check
from care_tf.runs._example_maps import selected_rows
from care_tf.runs._run_predictions import evaluated
from care_tf.runs.config import Selection

SIDE, NUM_EACH = 32, 12
LESION, CORNER = (slice(12, 20), slice(12, 20)), (slice(0, 6), slice(0, 6))


class _Network:
    """Calls DF where the mean of a part of the image is dark; its map is 1 where it is told to look."""

    def __init__(self, part, shown):
        self._part = part
        self._map = np.zeros((SIDE, SIDE), np.float32)
        self._map[shown] = 1

    def __call__(self, inputs, training):
        dark = tf.sigmoid((110 - tf.reduce_mean(inputs["image"][:, self._part[0], self._part[1]], axis=(1, 2, 3))) / 10)
        return tf.stack([1 - dark, dark], axis=1)

    def class_probabilities(self, predictions):
        return predictions

    def predictions_and_attention(self, inputs, labels):
        return self(inputs, False), tf.tile(self._map[np.newaxis], [tf.shape(labels)[0], 1, 1])

    def attention_map(self, inputs, labels):
        return np.repeat(self._map[np.newaxis], len(labels), axis=0)


@pytest.fixture
def run_of(tmp_path):
    """Makes the run of a network that looks at a part, and whose map shows another."""
    paths, boxes = [], []
    for number in range(2 * NUM_EACH):
        pixels = np.random.default_rng(number).integers(150, 170, (SIDE, SIDE, 3)).astype(np.uint8)
        if number % 2:  # DF: a dark lesion, and a dark corner that goes with it
            pixels[LESION] = pixels[CORNER] = 40
        paths.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(pixels).save(paths[-1])
        boxes.append(np.array([[12, 12, 20, 20]], np.float32))

    def make(part, shown, has_boxes=True, num_filled=0, outside="keep"):
        filled = [np.array([[0, 0, SIDE, SIDE]], np.float32)] * num_filled
        rows = Manifest(
            image_paths=tuple(paths),
            labels=np.arange(len(paths)) % 2,
            class_names=("NV", "DF"),
            boxes=(*filled, *boxes[num_filled:]) if has_boxes else (),
            splits=("test",) * len(paths),
            groups=tuple(str(n) for n in range(len(paths))),
        )
        write_manifest(rows, tmp_path / "manifest.csv")
        data = SimpleNamespace(
            manifest=str(tmp_path / "manifest.csv"), reading={}, test_reading={"outside_boxes": outside},
            outside_boxes=outside, changes_tests=outside != "keep", outside_note="", mask_classes=("DF",),
            test=Selection(split="test"), resize="stretch", max_pixel_value=None,
        )  # fmt: skip
        config = SimpleNamespace(data=data, training=SimpleNamespace(batch_size=2 * NUM_EACH), title="A run")
        return SimpleNamespace(
            folder=tmp_path, config=config, care_model=_Network(part, shown), preprocess=lambda images: images,
            image_size=(SIDE, SIDE), class_names=("NV", "DF"), inputs=(), decision=None,
        )  # fmt: skip

    return make


@pytest.fixture
def checked(run_of, tmp_path, monkeypatch):
    """Checks such a run; returns the text and the page."""

    def check(part, shown, check_images=50, **choices):
        monkeypatch.setattr(run_check, "load_run", lambda folder: run_of(part, shown, **choices))
        text = run_check.check_run(tmp_path, num_resamples=50, check_images=check_images)
        return text, (tmp_path / "check.html").read_text()

    return check


def predictions_of(run, check_images=50):
    """Of every image of the run, NV and DF in turn."""
    rows = selected_rows(run, "test", None, None, None, ())
    return evaluated(run, rows, 2, check_images).predictions


@pytest.mark.parametrize(
    ("part", "shown", "words"),
    [
        (CORNER, CORNER, "Attention supervision has something to correct: the outputs for DF go by what surrounds"),
        (CORNER, LESION, "although the attention lies on it more than a uniform map does"),
        (LESION, CORNER, "Nothing is shown that attention supervision could correct"),
    ],
)
def test_the_outputs_decide_whatever_the_map_shows(checked, part, shown, words):
    text, page = checked(part, shown)
    assert words in text and words in page and "12 images" in text


def test_few_images_decide_nothing(checked):
    text, _ = checked(CORNER, CORNER, check_images=5)
    assert text.startswith("It cannot be decided") and "5 patients or lesions of DF" in text


def test_without_boxes_there_is_nothing_to_check(checked, tmp_path):
    with pytest.raises(InputError, match="images with boxes or masks .* Received none among 24 images"):
        checked(CORNER, CORNER, has_boxes=False)
    assert not (tmp_path / "check.html").exists()


def test_images_that_are_painted_are_checked_as_they_are_predicted(run_of):
    """What the network looks at is gray before and after the lesion is hidden; in the whole image it is dark."""
    found = predictions_of(run_of(CORNER, CORNER, outside="paint"))
    of_df = found.lesion_check["probability_lesion_hidden"][1::2]
    np.testing.assert_allclose(of_df, found.probabilities[1::2, 1], atol=1e-3)
    assert of_df.max() < 0.2 and not np.isnan(found.attention_inside).any()


def test_images_that_are_cropped_leave_nothing_to_check_and_no_attention_outside(run_of, checked, tmp_path):
    found = predictions_of(run_of(CORNER, CORNER, outside="crop"))
    assert np.isnan(found.attention_inside).all() and not found.lesion_check and not found.can_be_checked.any()
    with pytest.raises(InputError, match="what surrounds the lesions. Received .*outside_boxes=crop and .*=everywhere"):
        checked(CORNER, CORNER, outside="crop")
    assert not (tmp_path / "check.html").exists()


def test_lesions_that_fill_the_frame_take_no_place_among_those_checked_and_keep_their_attention(run_of):
    found = predictions_of(run_of(CORNER, CORNER, num_filled=14), check_images=5)
    is_checked = ~np.isnan(found.lesion_check["probability_lesion_hidden"])
    assert is_checked[14:].all() and not is_checked[:14].any()  # the five of each class that can be
    np.testing.assert_allclose(found.attention_inside[:14], 1)
