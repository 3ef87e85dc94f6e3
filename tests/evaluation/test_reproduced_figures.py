"""Pictures that stand alone as PNG files: grids of tiles, classes, training."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from care_tf.evaluation.class_figure import write_class_figure
from care_tf.evaluation.picture_grid import Tile, short_name, write_picture_grid
from care_tf.evaluation.training_figure import write_training_figure

RED = np.full((20, 30, 3), (255, 0, 0), np.uint8)
BLUE = np.full((20, 30, 3), (0, 0, 255), np.uint8)


def _pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _share(pixels, color):
    return (np.abs(pixels.astype(int) - color).max(axis=-1) < 8).mean()


def test_tiles_stand_in_their_rows_and_columns(tmp_path):
    write_picture_grid(tmp_path / "grid.png", ["a", "b"], [[Tile(RED, "left"), Tile(BLUE)], [Tile(None), Tile(RED)]])
    pixels = _pixels(tmp_path / "grid.png")
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    corners = [pixels[:height, :width], pixels[:height, width:], pixels[height:, :width], pixels[height:, width:]]
    assert [_share(c, (255, 0, 0)) > 0.3 for c in corners] == [True, False, False, True]
    assert [_share(c, (0, 0, 255)) > 0.3 for c in corners] == [False, True, False, False]


def test_long_captions_are_wrapped_and_leave_the_images_their_size(tmp_path):
    long = f"No Lung Opacity / Not Normal  {short_name('0004cfab-14fd-4e49-80ba-63a80b6bddd6')}"
    sides = []
    for caption in ("DF", long, f"{long}, unknown whether it was trained on it"):
        write_picture_grid(tmp_path / "grid.png", ["a", "b"], [[Tile(RED, caption), Tile(RED, caption)]] * 3)
        pixels = _pixels(tmp_path / "grid.png")
        sides.append(_share(pixels, (255, 0, 0)) * pixels.shape[0] * pixels.shape[1])
    assert min(sides) == pytest.approx(sides[0], rel=0.02)


def test_every_class_has_its_dots(tmp_path):
    rows = [
        {"method": method, "figure": f"{figure}/{name}", "value": 0.5, "low": 0.4, "high": 0.6, "difference": 0.1,
         "difference_low": 0.0, "difference_high": 0.2}
        for method in ("baseline", "care") for figure in ("recall", "precision", "recall_at_equal_calls")
        for name in ("DF", "NV")
    ]  # fmt: skip
    found = {}
    for names in (("DF",), ("DF", "NV"), ("absent",)):
        write_class_figure(tmp_path / "classes.png", rows, "baseline", "care", names)
        pixels = _pixels(tmp_path / "classes.png")
        found[names] = [_share(pixels, color) * pixels.size for color in ((0, 114, 178), (217, 130, 0))]
    # Blue: the method and its differences; orange: the baseline. Without a class only the legend's dots are left.
    for blue_or_orange in range(2):
        one, two, none = (found[names][blue_or_orange] for names in (("DF",), ("DF", "NV"), ("absent",)))
        assert two - none > 1.5 * (one - none) > 0


def test_training_has_a_line_per_score(tmp_path):
    shares = {"mean_class_accuracy": 0.2, "rarest_class_recall": 0.8}
    of_validation = {"val_mean_class_accuracy": 0.6, "val_rarest_class_recall": 0.4}
    history = pd.DataFrame({"stage": ["pretrain"] * 2 + ["finetune"] * 2, "loss": [2.0, 1.5, 1.0, 0.9]})
    write_training_figure(tmp_path / "training.png", history.assign(**shares, **of_validation))
    pixels = _pixels(tmp_path / "training.png").astype(int)
    pixels = pixels[: pixels.shape[0] * 3 // 4]  # without the legend
    heights = []
    for color in ((0, 114, 178), (217, 130, 0)):
        for panel in np.array_split(pixels, 3, axis=1):
            rows = np.flatnonzero((np.abs(panel - color).max(axis=-1) < 8).any(axis=1))
            heights.append(-np.mean(rows) if len(rows) else None)
    no_accuracy, accuracy, val_accuracy, no_recall, recall, val_recall = heights
    assert no_accuracy is None and no_recall is None  # the first panel has the loss
    assert None not in (accuracy, val_accuracy, recall, val_recall)
    assert accuracy < val_recall < val_accuracy < recall  # all four are drawn, each in its panel and color
