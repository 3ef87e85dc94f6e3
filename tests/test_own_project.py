"""The code of docs/own_project.md runs as it stands, on drawn images and with a small network for the EfficientNet."""

import json
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from documents import python_blocks
from eager_steps import eager_steps
from PIL import Image

PAGE = "docs/own_project.md"


def write_images(root):
    """Three classes of patients' images and a COCO file with boxes of the rare class; validation lacks a class."""
    random = np.random.default_rng(0)
    coco = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "lesion"}]}
    counts = {"train": {"melanoma": 6, "nevus": 8, "dermatofibroma": 6}, "val": {"melanoma": 2, "nevus": 2}}
    for split, classes in counts.items():
        for name, count in classes.items():
            for number in range(count):
                path = root / "images" / split / name / f"patient{number}_{split}_{name}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(random.integers(0, 256, (48, 64, 3), np.uint8)).save(path)
                if name == "dermatofibroma":
                    identity = len(coco["images"])
                    coco["images"].append({"id": identity, "file_name": path.name, "width": 64, "height": 48})
                    box = {"id": identity, "image_id": identity, "category_id": 1, "bbox": [10, 8, 30, 20]}
                    coco["annotations"].append(box)
    for name in ("nevus/patient1_a.png", "dermatofibroma/patient2_b.png"):
        Image.fromarray(random.integers(0, 256, (120, 160, 3), np.uint8)).save(root / "images" / "train" / name)
    (root / "coco.json").write_text(json.dumps(coco))


def small_network(include_top, pooling, input_shape):
    assert not include_top and pooling == "avg"
    image = keras.Input(input_shape)
    x = keras.layers.Conv2D(4, 16, 16, activation="relu")(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


def tfds_like():
    """A module that loads two elements of the structure that TensorFlow Datasets gives sets with objects."""

    def elements():
        for boxes in ([[0.25, 0.5, 0.75, 1.0]], []):
            bbox = np.float32(boxes).reshape(-1, 4)
            yield {"image": np.zeros((30, 50, 3), np.uint8), "label": 1, "objects": {"bbox": bbox}}

    spec = {
        "image": tf.TensorSpec((None, None, 3), tf.uint8),
        "label": tf.TensorSpec((), tf.int64),
        "objects": {"bbox": tf.TensorSpec((None, 4), tf.float32)},
    }
    load = lambda name, split: tf.data.Dataset.from_generator(elements, output_signature=spec)  # noqa: E731
    return types.SimpleNamespace(load=load)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:CARE trained no attention")  # on noise stage 1 need not end
def test_the_page_runs(tmp_path, monkeypatch):
    write_images(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keras.applications, "EfficientNetV2B0", small_network)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", tfds_like())
    names: dict = {}
    masked = {}
    for block in python_blocks(PAGE):
        with eager_steps():
            exec(compile(block.replace("epochs=60", "epochs=2, verbose=0"), PAGE, "exec"), names)
        if "dataset = " in block:
            masked[block] = np.concatenate([np.ravel(x["mask"]) for x, _ in names["dataset"]]).mean()
    assert (tmp_path / "classifier.keras").exists()
    assert names["images"].class_names == ("dermatofibroma", "melanoma", "nevus") and len(names["folds"]) == 22
    assert len(masked) == 4 and min(masked.values()) > 0 and list(masked.values())[-1] == 0.125
