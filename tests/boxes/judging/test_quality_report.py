import csv
import dataclasses
import html.parser
import json

import numpy as np
import pytest
from PIL import Image

from care_tf.boxes.judging.quality import judge_boxes
from care_tf.boxes.judging.quality_report import write_box_quality
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError


class _Page(html.parser.HTMLParser):
    """The text of a page, what it loads, and its images' alt texts."""

    def __init__(self, text):
        super().__init__()
        self.text, self.loads, self.alts, self.scripts = "", [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.loads += [value for name, value in attrs.items() if name in ("src", "href")]
        self.alts += [attrs["alt"]] if tag == "img" else []
        self.scripts += tag == "script"

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def quality(tmp_path):
    """Six images of class A<b>, two of them without a made box, and three of B."""
    paths = tuple(str(tmp_path / "images" / f"{i}.png") for i in range(9))
    (tmp_path / "images").mkdir()
    for path in paths:
        Image.new("RGB", (40, 30), (200, 160, 150)).save(path)
    true = tuple(np.float32([[10, 5, 30, 20]]) for _ in range(9))
    truth = Manifest(
        paths, np.array([0] * 6 + [1] * 3), ("A<b>", "B"), true,
        groups=tuple("aabbccdde"), folds=("1",) * 9, source=str(tmp_path / "truth.csv"),
    )  # fmt: skip
    boxes = [np.float32([[10 + i, 5, 30 + i, 20]]) for i in range(9)]
    boxes[1] = boxes[4] = np.zeros((0, 4), np.float32)
    made = dataclasses.replace(truth, boxes=tuple(boxes), box_sources=("bms",) * 9)
    return judge_boxes(truth, [made, dataclasses.replace(truth, source="by_hand.csv")], num_resamples=50)


def test_the_table_has_a_row_per_method_and_image(quality, tmp_path):
    csv_path, _, _ = write_box_quality(quality, tmp_path / "new" / "quality")
    with open(csv_path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["bms"] * 9 + ["by_hand"] * 9
    assert rows[2] == {
        "image": "../../images/2.png", "class": "A<b>", "group": "b", "fold": "1", "method": "bms", "num_boxes": "1",
        "iou": f"{18 / 22:.6f}", "best_box_iou": f"{18 / 22:.6f}", "coverage": "0.900000", "mask_coverage": "",
    }  # fmt: skip
    assert (rows[4]["num_boxes"], rows[4]["iou"]) == ("0", "0.000000")


def test_the_figures_are_those_of_the_quality(quality, tmp_path):
    _, json_path, _ = write_box_quality(quality, tmp_path)
    assert json.loads(json_path.read_text()) == json.loads(json.dumps(quality.to_dict()))


def test_the_page_stands_alone_and_says_what_was_found(quality, tmp_path):
    _, _, html_path = write_box_quality(quality, tmp_path, title="Boxes & more")
    page = _Page(html_path.read_text(encoding="utf-8"))
    assert page.scripts == 0
    assert all(target.startswith("data:image/") for target in page.loads)
    assert all(page.alts)
    assert page.alts.count("A<b>: no box was made") == 2
    for text in ("Boxes & more", "A<b>: 6 images of 3 patients", "bms: worst", "by_hand: best", "whole image"):
        assert text in page.text
    mean = quality.classes[0].methods[0].figures["mean_iou"]
    for value in (mean.value, mean.low, mean.high):
        assert f"{value:.3f}".removeprefix("0") in page.text
    assert "Coverage of the lesion" not in page.text  # no true mask is known


def test_what_was_left_out_is_said(quality, tmp_path):
    _, _, html_path = write_box_quality(dataclasses.replace(quality, not_judged=("3 images <here>",)), tmp_path)
    assert "Not judged:" in (text := _Page(html_path.read_text(encoding="utf-8")).text)
    assert "3 images <here>" in text


def test_the_best_method_is_set_against_the_centered_box(quality, tmp_path):
    _, _, html_path = write_box_quality(quality, tmp_path)
    text = _Page(html_path.read_text(encoding="utf-8")).text
    assert "mean IoU of by_hand, the best of 2 methods" in text
    assert "better than the centered box" in text


def test_an_image_that_is_gone_leaves_no_half_report(quality, tmp_path):
    (tmp_path / "images" / "8.png").unlink()
    with pytest.raises(InputError, match="8.png does not exist"):
        write_box_quality(quality, tmp_path / "report")
    assert not (tmp_path / "report").exists()
