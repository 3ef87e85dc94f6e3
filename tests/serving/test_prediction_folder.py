"""The folder of predictions: what is in it, what a second call does, what is refused. The model is a rule on colors."""

import csv
import html
import os
import re
import urllib.parse

import numpy as np
import pytest
from color_model import CLASSES, ColorModel
from PIL import Image

from care_tf.data import InputEncoding
from care_tf.errors import InputError
from care_tf.evaluation.decision_thresholds import Decision
from care_tf.serving import _prediction_page
from care_tf.serving.prediction_folder import predict_folder

COLORS = {"a&b #1.png": (250, 5, 5), "dark.png": (20, 60, 20), "sky.jpg": (20, 40, 240), "sub/sky.jpg": (60, 60, 90)}


@pytest.fixture
def images(tmp_path):
    """A folder of images of one color each, 60 x 40 px."""
    for name, color in COLORS.items():
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40), color).save(tmp_path / "images" / name, quality=95)
    return tmp_path / "images"


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def names_on(page):
    """The images' names in the page's order."""
    return [html.unescape(name) for name in re.findall(r'class="name soft" title="[^"]*">([^<]*)<', page.read_text())]


def test_everything_of_every_image_is_written(images, output):
    (images / "notes.md").touch()
    said = predict_folder(ColorModel(focus_class="blue"), [images], output, batch_size=3)
    assert said.splitlines() == [
        "files of other kinds were left out: .md 1",
        f"4 images read; {output} holds predictions of 4",
        "sorted by blue, the class in focus in training",
        f"wrote {output / 'predictions.csv'} and {output / 'index.html'}",
    ]
    rows = table(output / "predictions.csv")
    assert list(rows[0]) == ["image", *CLASSES, "top_class", "top_probability", "heatmap"]
    assert [row["image"] for row in rows] == [f"../images/{name}" for name in COLORS]
    assert [row["top_class"] for row in rows] == ["red", "green", "blue", "blue"]
    for row, color in zip(rows, COLORS.values(), strict=True):
        assert row["top_probability"] == max((row[name] for name in CLASSES), key=float)
        expected = np.array(color) / sum(color)
        np.testing.assert_allclose([float(row[name]) for name in CLASSES], expected, atol=0.02)
    assert [row["heatmap"] for row in rows] == [f"heatmaps/{n}.png" for n in ("a&b #1", "dark", "sky", "sky-2")]
    assert table(output / "bad_images.csv") == []
    for kind, suffix in (("heatmaps", "png"), ("thumbnails", "jpg")):
        assert {path.name for path in (output / kind).iterdir()} == {
            f"{name}.{suffix}" for name in ("a&b #1", "dark", "sky", "sky-2")
        }
    with Image.open(output / "heatmaps/sky.png") as heatmap, Image.open(output / "thumbnails/sky.jpg") as thumbnail:
        pixels = np.asarray(heatmap)
        np.testing.assert_allclose(np.asarray(thumbnail)[100, 100], COLORS["sky.jpg"], atol=8)
    assert pixels.shape == (213, 320, 3)
    assert pixels[104, 80].tolist() == [255, 255, 255]  # the box's lower edge, inside of it
    assert pixels[50, 80].tolist() != pixels[180, 280].tolist()  # what is marked and what is not


def test_the_page_is_sorted_and_its_links_lead_somewhere(images, output):
    predict_folder(ColorModel(), [images], output, sort_by="green")
    page = output / "index.html"
    assert names_on(page) == ["dark.png", "sky.jpg", "sky.jpg", "a&b #1.png"]
    text = page.read_text()
    assert "Sorted by the probability of <b>green</b>, as asked for" in text
    assert re.findall(r"<li[^>]*>(\w+) <b>(\d+)</b>", text) == [("red", "1"), ("green", "1"), ("blue", "2")]
    links = [urllib.parse.unquote(html.unescape(link)) for link in re.findall(r'(?:src|href)="([^"]+)"', text)]
    assert len(links) == 4 * 4 and all((output / link).exists() for link in links)


@pytest.mark.parametrize(
    ("focus", "asked", "said"),
    [
        ("red", None, "sorted by red, the class in focus in training"),
        ("red", "green", "sorted by green, as asked for"),
        (None, None, "sorted by blue, the last class; the model does not say which is rare"),
    ],
)
def test_which_class_the_page_is_sorted_by_is_said(images, output, focus, asked, said):
    assert said in predict_folder(ColorModel(focus_class=focus), [images], output, sort_by=asked, heatmaps=False)
    with pytest.raises(InputError, match=r"--sort-by must be one of red, .* Received gren. Did you mean 'green'\?"):
        predict_folder(ColorModel(), [images], output, sort_by="gren")


def test_a_second_call_does_only_what_is_new_or_changed(images, output):
    first = ColorModel()
    predict_folder(first, [images / "sky.jpg", images / "dark.png"], output)
    assert first.batch_sizes == [2]
    second = ColorModel()
    said = predict_folder(second, [images], output)
    assert second.batch_sizes == [2] and "2 images read, 2 were done already;" in said
    rows = table(output / "predictions.csv")  # those of the first call stay
    assert [row["image"].removeprefix("../images/") for row in rows] == [
        *("sky.jpg", "dark.png", "a&b #1.png", "sub/sky.jpg")
    ]
    Image.new("RGB", (60, 40), (0, 0, 255)).save(images / "dark.png")
    (output / "heatmaps/sky.png").unlink()
    third = ColorModel()
    predict_folder(third, [images], output)
    assert third.batch_sizes == [2]
    assert [row["top_class"] for row in table(output / "predictions.csv")] == ["blue", "blue", "red", "blue"]
    before = contents(output)
    last = ColorModel()
    assert "0 images read, 4 were done already;" in predict_folder(last, [images], output)
    assert last.batch_sizes == [] and contents(output) == before


def test_a_call_that_was_interrupted_is_continued(images, output, tmp_path):
    expected = tmp_path / "whole"
    predict_folder(ColorModel(), [images], expected, batch_size=2)

    class Interrupted(ColorModel):
        def classify(self, images, cells):
            if self.batch_sizes:
                raise KeyboardInterrupt
            return super().classify(images, cells)

    with pytest.raises(KeyboardInterrupt):
        predict_folder(Interrupted(), [images], output, batch_size=2)
    assert not (output / "predictions.csv").exists() and not (output / "index.html").exists()
    model = ColorModel()
    predict_folder(model, [images], output, batch_size=2)
    assert model.batch_sizes == [2]
    for name in ("predictions.csv", "bad_images.csv", "index.html"):
        assert (output / name).read_bytes() == (expected / name).read_bytes()


def test_heatmaps_may_come_later(images, output):
    predict_folder(ColorModel(), [images], output, heatmaps=False)
    assert not (output / "heatmaps").exists() and 'src="heatmaps' not in (output / "index.html").read_text()
    assert {row["heatmap"] for row in table(output / "predictions.csv")} == {""}
    predict_folder(ColorModel(), [images], output)
    assert len(list((output / "heatmaps").iterdir())) == 4
    model = ColorModel()
    predict_folder(model, [images], output, heatmaps=False)
    assert model.batch_sizes == [] and 'src="heatmaps' in (output / "index.html").read_text()


def test_what_cannot_be_read_is_listed_and_tried_again(images, output):
    (images / "broken.png").write_bytes((images / "dark.png").read_bytes()[:50])
    said = predict_folder(ColorModel(), [images], output)
    assert f"1 could not be read: see {output / 'bad_images.csv'}" in said
    (bad,) = table(output / "bad_images.csv")
    assert bad["image"] == "../images/broken.png" and "cannot be decoded" in bad["reason"]
    assert len(table(output / "predictions.csv")) == 4
    assert "<b>1</b> images could not be read" in (output / "index.html").read_text()
    Image.new("RGB", (60, 40)).save(images / "broken.png")
    model = ColorModel()
    assert "could not be read" not in predict_folder(model, [images], output)
    assert (model.batch_sizes, table(output / "bad_images.csv")) == ([1], [])
    assert len(table(output / "predictions.csv")) == 5


def test_where_no_image_can_be_read_there_are_no_predictions(images, output):
    (images / "sub/empty.png").touch()
    with pytest.raises(InputError, match=r"None of the 1 images could be read; the first: .*empty.png must be a PNG"):
        predict_folder(ColorModel(), [images / "sub/empty.png"], output)
    assert len(table(output / "bad_images.csv")) == 1 and not (output / "predictions.csv").exists()


def test_another_models_predictions_and_a_folder_of_something_else_are_left_alone(images, output, tmp_path):
    predict_folder(ColorModel(), [images], output)
    before = contents(output)
    with pytest.raises(InputError, match=r"out holds predictions of another model \(model_sha256: abc -> def\)"):
        predict_folder(ColorModel("def"), [images], output)
    assert contents(output) == before
    (tmp_path / "run").mkdir()
    (tmp_path / "run/predictions.csv").write_text("of an evaluation")
    with pytest.raises(InputError, match="run, which holds something else"):
        predict_folder(ColorModel(), [images], tmp_path / "run")
    with pytest.raises(InputError, match=r"must be a folder. Received .*predictions.csv, a file"):
        predict_folder(ColorModel(), [images], tmp_path / "run/predictions.csv")
    assert os.listdir(tmp_path / "run") == ["predictions.csv"]


def test_a_full_disk_is_one_line_and_keeps_what_is_done(images, output, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    predict_folder(ColorModel(), [images / "dark.png"], output)
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", full)
        with pytest.raises(InputError, match=r"jpg cannot be written: No space left on device.*make room"):
            predict_folder(ColorModel(), [images], output)
    model = ColorModel()
    predict_folder(model, [images], output)
    assert model.batch_sizes == [3]


def test_what_is_called_has_a_column_where_the_model_has_thresholds(images, output):
    for thresholds, expected in (
        ((0.3, 0.35, 0.5), ["red", "green", "blue", ""]),
        ((0.25, None, 0.15), ["red", "blue", "blue", "red;blue"]),  # chosen anew: no image is predicted
    ):
        model = ColorModel(decision=Decision(CLASSES, 1.0, thresholds))
        predict_folder(model, [images], output, sort_by="red", heatmaps=False)
        assert [row["decision"] for row in table(output / "predictions.csv")] == expected
    assert model.batch_sizes == []
    page = (output / "index.html").read_text()
    assert re.findall(r">called ([^<]*)<", page) == ["red", "red, blue", "blue", "blue"]


def test_inputs_come_from_a_manifest_and_images_without_are_refused(images, output):
    encodings = (InputEncoding("age", mean=50.0, std=10.0),)
    with pytest.raises(InputError, match="The model takes age beside each image. Received .* Give a CSV file"):
        predict_folder(ColorModel(inputs=encodings), [images], output)
    assert not output.exists()
    (images / "rows.csv").write_text("image,age\nsky.jpg,50\ndark.png,old\n")
    predict_folder(ColorModel(inputs=encodings), [images / "rows.csv"], output)
    assert [row["image"] for row in table(output / "predictions.csv")] == ["../images/sky.jpg"]
    (bad,) = table(output / "bad_images.csv")
    assert "dark.png: age is 'old', which no training row has" in bad["reason"]
    (images / "rows.csv").write_text("image,age\nsky.jpg,51\n")
    model = ColorModel(inputs=encodings)
    predict_folder(model, [images / "rows.csv"], output)
    assert model.batch_sizes == [1]  # another age is another question


def test_of_many_warnings_one_is_shown(images, output, capsys):
    for name in "abc":
        Image.fromarray(np.full((6, 8), 900, np.uint16)).save(images / f"{name}.png")
    predict_folder(ColorModel(), [images], output)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(lines) == 1 and "so it is read dark" in lines[0] and lines[0].endswith("; 2 more such warnings")


def test_a_page_of_very_many_images_shows_the_most_probable(images, output, monkeypatch):
    monkeypatch.setattr(_prediction_page, "_MAX_SHOWN", 2)
    predict_folder(ColorModel(), [images], output, sort_by="blue")
    assert names_on(output / "index.html") == ["sky.jpg", "sky.jpg"]
    assert "Shown are the 2 most probable" in (output / "index.html").read_text()
