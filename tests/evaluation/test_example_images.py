import base64
import io

import numpy as np
import pytest
from PIL import Image

from care_tf.errors import InputError
from care_tf.evaluation._example_images import example_card


def _example(**changes):
    mask = np.zeros((30, 40), np.uint8)
    mask[10:20, 10:30] = 1
    left = np.zeros((3, 4), np.float32)
    left[:, 0] = 1
    example = {
        "name": "ISIC_1",
        "label": "DF",
        "image": np.full((30, 40, 3), 90, np.uint8),
        "mask": mask,
        "attention_before": left,
        "attention_after": np.ones((30, 40), np.float32),
        "predicted_before": "NV",
        "predicted_after": "DF",
    }
    return example | changes


def _pixels(picture):
    kind, _, data = picture.uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).astype(int)


# oracle


def test_shares_predictions_and_texts():
    card = example_card(_example())
    before, after = card.views
    assert after.inside == "17\u202f%"  # 200 of 1200 pixels
    assert before.predicted == ("NV", False)
    assert after.predicted == ("DF", True)
    assert card.image.alt == "ISIC_1: image of class DF with its box outlined"
    assert after.picture.alt == "ISIC_1: attention map after stage 2, 17\u202f% inside the box"


def test_box_is_outlined_in_white_and_nothing_else_changes():
    pixels = _pixels(example_card(_example()).image)
    assert pixels.shape == (240, 320, 3)
    assert pixels[82, 100:220].min() > 220  # the box's upper edge, at 8 times the size
    assert abs(pixels[120, 160] - 90).max() < 12
    assert abs(pixels[20, 20] - 90).max() < 12


def test_attention_is_bright_where_the_map_is_high():
    pixels = _pixels(example_card(_example(mask=None)).views[0].picture)
    high, low = pixels[120, 5], pixels[120, 300]
    assert high[1] > low[1] + 80  # the top of the color scale is yellow, the bottom violet


# identities


def test_boxes_and_their_mask_give_the_same_card():
    boxes = example_card(_example(mask=None, boxes=[(10, 10, 30, 20)]))
    assert boxes == example_card(_example())


# edges


def test_box_over_the_whole_frame_is_outlined_at_the_edge():
    pixels = _pixels(example_card(_example(mask=np.ones((30, 40)))).image)
    assert pixels[1, 20:300].min() > 200 and pixels[20:220, 318].min() > 200


def test_everything_but_the_image_may_be_missing():
    card = example_card({"name": "a", "label": "NV", "image": np.zeros((8, 8, 3), np.uint8)})
    assert [view[1:] for view in card.views] == [(None, None, None)] * 2
    assert card.image.alt == "a: image of class NV"


def test_image_without_box_has_no_share():
    card = example_card(_example(mask=np.zeros((30, 40))))
    assert not card.has_box and card.views[1].inside is None


def test_without_a_box_the_true_and_the_predicted_class_are_shown():
    other = np.eye(3, dtype=np.float32)
    card = example_card(_example(mask=None, attention_predicted=other, predicted_after="NV"))
    assert [view.caption for view in card.views] == ["for the true class", "for the predicted class"]
    assert [view.predicted for view in card.views] == [None, ("NV", False)]
    assert card.views[1].picture.uri == example_card(_example(mask=None, attention_after=other)).views[1].picture.uri
    assert [view.caption for view in example_card(_example(attention_predicted=other)).views] == [
        "before stage 2",
        "after stage 2",
    ]


# errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": np.zeros((8, 8, 3))}, r"must be \(H, W, 3\) uint8. Received: \(8, 8, 3\) float64 in ISIC_1"),
        ({"mask": np.zeros((8, 8))}, r"image's size \(30, 40\). Received: \(8, 8\) in ISIC_1"),
        ({"attention_after": np.zeros((1, 8, 8))}, r"must be \(h, w\). Received: \(1, 8, 8\) in ISIC_1"),
    ],
)
def test_bad_arrays_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        example_card(_example(**changes))


def test_missing_keys_are_refused():
    with pytest.raises(InputError, match=r"one without \['image', 'label'\]"):
        example_card({"name": "a"})
