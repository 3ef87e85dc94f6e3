"""The page of `care check`, and the part of an image that is attended to outside the boxes."""

import numpy as np
import pytest

from care_tf.evaluation import Estimate, evaluate_predictions
from care_tf.evaluation._outside_crops import outside_crop
from care_tf.evaluation.cue_page import CueCheck, write_cue_page
from care_tf.evaluation.cue_verdict import cue_verdict
from care_tf.evaluation.curve_figures import insertion_deletion_figure
from care_tf.evaluation.insertion_deletion import Curves
from care_tf.evaluation.lesion_figures import LESION_COLUMNS


def _frame(row, column, size=(40, 60)):
    attention, mask = np.zeros(size, np.float32), np.zeros(size, bool)
    attention[row - 2 : row + 3, column - 2 : column + 3] = 0.8
    mask[10:30, 20:40] = True
    attention[20, 30] = 1.0  # inside the box
    image = np.zeros((*size, 3), np.uint8)
    image[row, column] = 255
    return image, attention, mask


@pytest.mark.parametrize(("row", "column"), [(6, 50), (36, 4), (20, 48)])
def test_the_part_holds_the_place_with_most_attention_outside(row, column):
    image, attention, mask = _frame(row, column)
    crop = outside_crop(image, attention, mask)
    assert crop.pixels.shape == (16, 16, 3) and crop.pixels.max() == 255
    np.testing.assert_array_equal(crop.pixels, image[crop.top : crop.top + 16, crop.left : crop.left + 16])


def test_without_attention_outside_there_is_no_part():
    image, attention, mask = _frame(6, 50)
    assert outside_crop(image, np.where(mask, attention, 0), mask) is None
    assert outside_crop(image, attention, np.ones_like(mask)) is None


def test_the_page_holds_the_verdict_and_the_figures(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 2
    columns = {name: rng.uniform(size=30).round() for name in LESION_COLUMNS}
    scores = evaluate_predictions(
        labels, rng.dirichlet(np.ones(2), 30), ["<NV>", "DF"], None, rng.uniform(size=30), num_resamples=9,
        lesion_check=columns,
    )  # fmt: skip
    image, attention, mask = _frame(6, 50)
    example = {"name": "a&b.png", "image": image, "mask": mask, "attention_after": attention, "inside_after": 0.25}
    verdict = cue_verdict(scores.classes[1], 15, Estimate(0.1, 0.0, 0.2))
    curves = insertion_deletion_figure("DF", [("run", "#000000", Curves(*rng.uniform(size=(2, 8, 17))))], np.arange(8))
    check = CueCheck("A run", "DF", scores, verdict, Estimate(0.1, 0.0, 0.2), curves, [example, example])
    write_cue_page(tmp_path / "check.html", check)
    text = (tmp_path / "check.html").read_text()
    assert verdict.sentence in text and text.count("75\u202f% outside</figcaption>") == 2
    assert "&lt;NV&gt;" in text and "a&amp;b.png" in text and "http" not in text.replace("http://www.w3.org", "")
    assert "Insertion and deletion, DF. insertion, run: from" in text
