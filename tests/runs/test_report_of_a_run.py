"""What a run's report takes from its images: their own proportions, and the class in focus."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from care_tf.data.manifest import Manifest
from care_tf.runs._example_maps import _shown
from care_tf.runs._gallery_maps import gallery_groups
from care_tf.runs._run_report import focus_class


def _rows(path, labels=(0,), boxes=((),), names=("DF", "NV", "VASC")):
    return Manifest(
        image_paths=tuple(f"{path}{i or ''}" for i in range(len(labels))),
        labels=np.array(labels),
        class_names=names,
        boxes=tuple(np.array(own, np.float32).reshape(-1, 4) for own in boxes),
    )


def _run(folder, **data):
    settings = {
        "resize": "stretch",
        "max_pixel_value": None,
        "mask_classes": None,
        "test_reading": {"outside_boxes": "keep"},
    }
    settings |= data
    return SimpleNamespace(folder=folder, image_size=(32, 32), config=SimpleNamespace(data=SimpleNamespace(**settings)))


@pytest.mark.parametrize("resize", ["stretch", "pad"])
def test_an_image_its_box_and_its_map_keep_the_files_proportions(tmp_path, resize):
    path = str(tmp_path / "a.png")
    Image.fromarray(np.zeros((20, 80, 3), np.uint8)).save(path)
    image, mask, to_image = _shown(_run(tmp_path, resize=resize), _rows(path, boxes=[[[0, 0, 40, 10]]]), 0)
    assert image.shape == (80, 320, 3)
    expected = np.zeros((80, 320), bool)
    expected[:40, :160] = True
    np.testing.assert_array_equal(mask, expected)
    # The upper left quarter of the image, as the network sees it: of a padded one rows 12 to 20 of 32 are the image.
    attention = np.zeros((32, 32), np.float32)
    attention[slice(0, 16) if resize == "stretch" else slice(12, 16), :16] = 1
    shown = to_image(attention)
    assert shown.shape == (80, 320)
    assert shown[:25, :145].min() > 0.9 and shown[55:].max() < 0.1 and shown[:, 175:].max() < 0.1


@pytest.mark.parametrize("has_mask_file", [False, True])
def test_of_an_image_that_is_cropped_the_part_that_is_left_is_shown_as_the_pipeline_has_it(tmp_path, has_mask_file):
    path = str(tmp_path / "a.png")
    pixels = np.random.default_rng(0).integers(0, 256, (320, 400, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    rows = _rows(path, boxes=[[] if has_mask_file else [[0, 0, 320, 160.5]]])
    if has_mask_file:
        region = np.zeros((160, 200), np.uint8)
        region[:80, :160] = region[80, 0] = 255
        Image.fromarray(region).save(tmp_path / "mask.png")
        rows = dataclasses.replace(rows, mask_paths=(str(tmp_path / "mask.png"),))
    run = _run(tmp_path, test_reading={"outside_boxes": "crop"})
    image, mask, to_image = _shown(run, rows, 0)
    height = 162 if has_mask_file else 161
    assert image.shape[:2] == mask.shape == (height, 320)
    np.testing.assert_array_equal(image, pixels[:height, :320])
    assert mask[:160].all() and to_image(np.ones((32, 32), np.float32)).shape == (height, 320)
    assert mask[160:].any() == has_mask_file


def test_a_gallerys_cards_say_what_its_groups_say(tmp_path):
    paths = [str(tmp_path / name) for name in ("a.png", "a.png1", "a.png2")]
    for path in paths:
        Image.fromarray(np.zeros((20, 80, 3), np.uint8)).save(path, format="png")
    run = _run(tmp_path)
    run.config.training = SimpleNamespace(batch_size=2)
    run.inputs, run.class_names, run.preprocess = (), ("DF", "NV", "VASC"), lambda images: images
    said = np.array([[0.4, 0.6, 0], [0.3, 0.7, 0], [0.49, 0.51, 0]])
    run.care_model = SimpleNamespace(attention_map=lambda images, labels: np.ones((len(labels), 32, 32), np.float32))
    own = SimpleNamespace(
        run=run, rows=_rows(paths[0], (0, 1, 0), [[]] * 3), predictions=SimpleNamespace(probabilities=said)
    )
    (missed,), (right,) = gallery_groups(own, None, ("", "run"), "DF")
    assert (missed.title, right.title) == ("DF, missed", "NV")
    assert [card["predicted_after"] for card in missed.examples] == ["NV", "NV"]
    assert [card["probability_predicted"] for card in missed.examples] == [0.6, 0.51]
    assert [card["probability_true"] for card in right.examples] == [0.7]


def test_the_class_in_focus_is_the_rarest_of_those_with_boxes(tmp_path):
    box = [[0, 0, 4, 4]]

    def focus(boxes, **data):
        rows = _rows("x", (0, 1, 1, 1, 2, 2), boxes)
        return focus_class(SimpleNamespace(run=_run(tmp_path, **data), rows=rows))

    none = [[]] * 6
    assert focus(none) == "DF"
    assert focus([[], box, [], [], box, []]) == "VASC"
    assert focus([[], box, [], [], [], []]) == "NV"
    assert focus([box] * 6, mask_classes=("NV", "VASC")) == "VASC"
