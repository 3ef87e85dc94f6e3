"""The attention layer of published families of networks: the map is what is pooled at the end."""

import re
import sys

import keras
import pytest
from keras import applications as apps
from keras import layers

from care_tf.model.observed_classifier import ObservedClassifier

SIZE = 64
EFFICIENTNET_SMALL = {
    "name": "efficientnetv2-b0",  # which blocks, one of them twice: with its residual connection
    **{"width_coefficient": 0.5, "depth_coefficient": 0.2, "default_size": SIZE},
}
NASNET_MOBILE = {"penultimate_filters": 1056, "stem_block_filters": 32, "skip_reduction": False}


def pooled(base: keras.Model, size: int) -> keras.Model:
    """A base with its own pooling, nested in a classifier, as in every tutorial on transfer learning."""
    image = keras.Input((size, size, 3))
    return keras.Model(image, layers.Dense(3, activation="softmax")(base(image)))


def application(build, size: int = SIZE, **settings):
    common = {"weights": None, "include_top": False, "pooling": "avg", "input_shape": (size, size, 3)}
    return lambda: pooled(build(**common, **settings), size)


def fewer_blocks(published, family: str):
    """The builder of a family that Keras keeps beside the published size, which repeats each block up to 24 times."""
    return getattr(sys.modules[published.__module__], family)


# Family -> builder, the last part of the path without its number, (h, w) of the map.
FAMILIES = {
    "ConvNeXt": (
        application(fewer_blocks(apps.ConvNeXtTiny, "ConvNeXt"), depths=(1, 1, 1, 1), projection_dims=(8, 16, 24, 32)),
        "global_average_pooling2d",
        (2, 2),
    ),
    "EfficientNetV2": (
        application(fewer_blocks(apps.EfficientNetV2B0, "EfficientNetV2"), **EFFICIENTNET_SMALL),
        "top_activation",
        (2, 2),
    ),
    "MobileNetV3": (application(apps.MobileNetV3Small), "activation", (2, 2)),
    "DenseNet": (application(fewer_blocks(apps.DenseNet121, "DenseNet"), blocks=(2, 2, 2, 2)), "relu", (2, 2)),
    "NASNet": (
        application(fewer_blocks(apps.NASNetMobile, "NASNet"), **NASNET_MOBILE, num_blocks=1),
        "activation",
        (2, 2),
    ),
    "Inception": (application(apps.InceptionV3, 96), "mixed", (4, 4)),  # mixed7: the last two blocks are 1 x 1
    "Xception": (application(apps.Xception, 96), "block14_sepconv2_act", (3, 3)),
    "VGG": (application(apps.VGG16), "block5_pool", (2, 2)),
}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_keras_applications(family):
    build, name, size = FAMILIES[family]
    anatomy = ObservedClassifier(build()).study((None, *(SIZE if size[0] == 2 else 96,) * 2, 3), "float32", True)
    assert anatomy.map_size == size
    assert re.sub(r"(?<=\D)_?\d+$", "", anatomy.attention_path.split("/")[-1]) == re.sub(r"\d+$", "", name)


@pytest.mark.one_generation
def test_keras_cv():
    keras_cv = pytest.importorskip("keras_cv")
    base = keras_cv.models.MiTBackbone(
        embedding_dims=[8, 16, 20, 24], depths=[1, 1, 1, 1], input_shape=(SIZE, SIZE, 3), include_rescaling=True
    )
    network = keras.Model(base.input, layers.Dense(3)(layers.GlobalAveragePooling2D()(base.output)))
    anatomy = ObservedClassifier(network).study((None, SIZE, SIZE, 3), "float32", True)
    assert anatomy.map_size == tuple(base.output.shape[1:3])
