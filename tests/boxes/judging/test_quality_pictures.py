import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from care_tf.boxes.judging._judged_images import JudgedImage
from care_tf.boxes.judging._quality_pictures import example_images, example_picture, iou_figure, of_class
from care_tf.boxes.judging.quality import judge_boxes
from care_tf.data.manifest import Manifest


def _image(iou, path="a", made=((2, 3, 9, 8),), true=((1, 1, 5, 5),), class_name="A"):
    made, true = (np.array(boxes, np.float32).reshape(-1, 4) for boxes in (made, true))
    return JudgedImage(path, class_name, "g", "", (20, 10), made, true, iou, iou, iou, None)


def _pixels(picture):
    data = picture.uri.removeprefix("data:image/jpeg;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).astype(int)


# oracle


def test_examples_of_twenty():
    images = [_image(i / 20, path=str(i)) for i in range(20)]
    chosen = {kind: [round(20 * i.iou) for i in own] for kind, own in example_images(images, 4).items()}
    assert chosen == {"best": [19, 18, 17, 16], "median": [11, 10, 9, 8], "worst": [3, 2, 1, 0]}


def test_boxes_are_drawn_where_they_are(tmp_path):
    Image.new("RGB", (100, 60), (200, 160, 150)).save(tmp_path / "skin.png")
    image = _image(0.25, str(tmp_path / "skin.png"), made=[[10, 10, 40, 50]], true=[[60, 20, 90, 40]])
    picture = example_picture(image)
    assert picture.alt == "A: made and true boxes, IoU 0.25"
    pixels = _pixels(picture)
    assert pixels.shape == (180, 300, 3)
    red, green, blue = np.moveaxis(pixels, -1, 0)
    for marked, expected in (
        ((green < 120) & (red > 180) & (blue > 180), (30, 30, 120, 150)),  # magenta
        ((green > 160) & (red < 90) & (blue < 140), (180, 60, 270, 120)),  # green
    ):
        rows, columns = np.nonzero(marked)
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_allclose(found, expected, atol=3)


# identities


def test_an_image_without_a_made_box_says_so(tmp_path):
    Image.new("RGB", (40, 20)).save(tmp_path / "skin.png")
    assert example_picture(_image(0, str(tmp_path / "skin.png"), made=())).alt == "A: no box was made"


def test_images_of_a_class_or_of_all():
    images = [_image(0.1, class_name="A"), _image(0.2, class_name="B")]
    assert of_class(images, "B") == images[1:]
    assert of_class(images, "all") == images


def test_the_figure_names_every_class_and_method(tmp_path):
    paths = tuple(str(tmp_path / f"{i}.png") for i in range(6))
    for path in paths:
        Image.new("RGB", (20, 10)).save(path)
    boxes = tuple(np.float32([[1, 1, 9, 5 + i % 3]]) for i in range(6))
    truth = Manifest(paths, np.array([0, 0, 1, 1, 2, 2]), ("A$", "B<", "C"), boxes, source="truth.csv")
    picture = iou_figure(judge_boxes(truth, [truth], num_resamples=5))
    assert picture.uri == iou_figure(judge_boxes(truth, [truth], num_resamples=5)).uri
    svg = base64.b64decode(picture.uri.removeprefix("data:image/svg+xml;base64,")).decode()
    for text in ("A$  (n = 2)", "B&lt;  (n = 2)", "C  (n = 2)", "all  (n = 6)", "best fixed centered box", "truth"):
        assert f">{text}</text>" in svg
    assert "A$, truth: 100% reach 0.5" in picture.alt


# properties


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=30), st.integers(1, 5))
def test_examples_are_in_order_and_none_is_shown_twice(ious, num_each):
    images = [_image(iou, path=f"{i:02d}") for i, iou in enumerate(ious)]
    chosen = example_images(images, num_each)
    shown = [image for kind in ("best", "median", "worst") for image in chosen[kind]]
    assert shown == sorted(shown, key=lambda image: (-image.iou, image.path))
    assert len({image.path for image in shown}) == len(shown)
    assert max(len(own) for own in chosen.values()) <= num_each
    assert chosen["best"][0].iou == max(ious)
    if len(ious) > 1:
        assert chosen["worst"][-1].iou == min(ious)
    if len(ious) >= 3 * num_each:
        assert [len(own) for own in chosen.values()] == [num_each] * 3


# edges


@pytest.mark.parametrize("made", [[[0, 0, 0.2, 0.2]], [[0, 0, 20, 10]], [[19.5, 9.5, 20, 10]]])
def test_tiny_and_whole_boxes_can_be_drawn(tmp_path, made):
    Image.new("RGB", (20, 10), (200, 160, 150)).save(tmp_path / "skin.png")
    assert _pixels(example_picture(_image(0.1, str(tmp_path / "skin.png"), made=made))).shape == (150, 300, 3)
