"""Networks of KerasHub, from a preset that the test saves: none can be downloaded."""

import keras
import numpy as np
import pytest

from care_tf import CAREModel
from care_tf.backbones import build_classifier, classifier_and_weights, get_backbone
from care_tf.errors import InputError

keras_hub = pytest.importorskip("keras_hub")


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("preset"))
    keras.utils.set_random_seed(0)
    network = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(None, None, 3),
    )
    network.save_to_preset(folder)
    converter = keras_hub.layers.ResNetImageConverter(image_size=(64, 64), scale=[0.1, 0.2, 0.3], offset=[1, 2, 3])
    converter.save_to_preset(folder)
    return folder, network, converter


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (4, 64, 64, 3)).astype(np.float32)


def test_preprocessing_is_the_presets(preset, images):
    folder, _, converter = preset
    backbone = get_backbone(f"keras_hub/{folder}")
    np.testing.assert_allclose(backbone.preprocess(images), converter(images), rtol=1e-6)


def test_its_own_weights_or_random_ones(preset, images):
    folder, network, _ = preset
    build = get_backbone(f"keras_hub/{folder}").build_network
    np.testing.assert_allclose(build((64, 64), "imagenet")(images), network(images), atol=1e-4)
    assert np.abs(build((64, 64), None)(images) - network(images)).max() > 1e-2


def test_a_classifier_of_it_trains_with_attention(preset, images):
    classifier = build_classifier(f"keras_hub/{preset[0]}", image_size=(64, 64), num_classes=3)
    model = CAREModel(classifier)
    assert model.anatomy.pooled_dense is not None and model.anatomy.attention_path == "stack1_block0_out"
    model.compile("sgd", "sparse_categorical_crossentropy")
    masks = np.zeros((4, 64, 64, 1), np.float32)
    masks[:, 20:40, 20:40] = 1
    history = model.fit({"image": images / 255, "mask": masks}, np.array([0, 1, 2, 0]), verbose=0)
    assert np.isfinite(history.history["attention_loss"]).all()


def test_a_preset_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="KerasHub cannot load the preset 'no_such_preset' as ImageConverter"):
        get_backbone("keras_hub/no_such_preset")


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("resnet18"))
    network = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[2, 2, 2, 2],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(None, None, 3),
    )
    network.save_to_preset(folder)
    converter = keras_hub.layers.ResNetImageConverter(scale=[0.01, 0.02, 0.03], offset=[-1, -2, -3])
    converter.save_to_preset(folder)
    return folder, network, converter


def test_resnet18_takes_a_preset_with_its_scaling_under_its_own_names(resnet18, images):
    folder, network, converter = resnet18
    classifier, weights = classifier_and_weights(
        "resnet18", image_size=(64, 64), num_classes=3, weights=folder, dropout=0, activation="softmax", seed=0
    )
    assert not any(isinstance(layer, keras.Model) for layer in classifier.layers), "must be flat"
    assert all(type(layer).__module__.startswith("keras.") for layer in classifier.layers), "loads with Keras alone"
    backbone = get_backbone("resnet18")
    assert classifier.get_layer(backbone.penultimate_block).output.shape[1:] == (4, 4, 256)
    assert classifier.get_layer("v2_stack_3_block1_1_conv").strides == (2, 2), "as DeepLab looks for it"
    features = keras.Model(classifier.input, classifier.get_layer(backbone.attention_layer).output)
    np.testing.assert_allclose(features(backbone.preprocess(images)), network(converter(images)), atol=1e-4)
    assert f"{folder} for conv1_conv to v2_stack_3_block2_2_bn; random: predictions" in str(weights)


def test_resnet18_refuses_another_networks_preset(preset):
    with pytest.raises(InputError, match="must be a ResNet18, 11,186,112 parameters.*model.backbone=keras_hub/"):
        get_backbone("resnet18").build_network((64, 64), preset[0])


def vision_transformer(**settings):
    small = {"patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 16}
    return {**small, "image_shape": (64, 96, 3), **settings}


TRANSFORMERS = {
    # Builder, whether its class token alone is read, (h, w) of the map, tokens in front of the grid.
    "ViT": (lambda: keras_hub.models.ViTBackbone(**vision_transformer(mlp_dim=32)), False, (8, 12), 1),
    "ViT, class token": (lambda: keras_hub.models.ViTBackbone(**vision_transformer(mlp_dim=32)), True, (8, 12), 1),
    "DINOv2 with registers": (
        lambda: keras_hub.models.DINOV2Backbone(
            **vision_transformer(
                intermediate_dim=32,
                num_register_tokens=4,
                image_shape=(64, 64, 3),
                position_embedding_shape=(64, 64, 3),
            )
        ),
        True,
        (8, 8),
        5,
    ),
    "Swin": (
        lambda: keras_hub.models.SwinTransformerBackbone(
            image_shape=(64, 64, 3), embed_dim=16, depths=[2, 2], num_heads=[2, 2], window_size=4
        ),
        False,
        (8, 8),
        0,
    ),
    "MiT": (
        lambda: keras_hub.models.MiTBackbone(
            num_layers=2, layerwise_depths=[1, 1], layerwise_num_heads=[1, 2], layerwise_sr_ratios=[2, 1],
            max_drop_path_rate=0.1, layerwise_patch_sizes=[7, 3], layerwise_strides=[4, 2], hidden_dims=[8, 16],
            image_shape=(64, 64, 3),
        ),
        False,
        (8, 8),
        0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_attention_layer_of_transformers_is_their_grid_of_tokens(name):
    build, reads_class_token, map_size, leading = TRANSFORMERS[name]
    base = build()
    output = base.output
    if reads_class_token:
        vectors = output[:, 0]
    else:
        pooling = keras.layers.GlobalAveragePooling1D if len(output.shape) == 3 else keras.layers.GlobalAveragePooling2D
        vectors = pooling()(output)
    image = base.input["images"] if isinstance(base.input, dict) else base.input
    model = CAREModel(keras.Model(image, keras.layers.Dense(3, activation="softmax")(vectors)))
    height, width = model.classifier.input_shape[1:3]
    images = np.random.default_rng(0).uniform(0, 1, (2, height, width, 3)).astype(np.float32)
    masks = np.zeros((2, height, width, 1), np.float32)
    masks[:, 16:32, 16:40] = 1
    model.compile("sgd", "sparse_categorical_crossentropy")
    losses = model.fit({"image": images, "mask": masks}, np.array([0, 1]), verbose=0).history
    assert abs(losses["attention_loss"][0]) > 0 and model.anatomy.map_size == map_size
    assert (0 if model.anatomy.grid is None else model.anatomy.grid.leading) == leading
