"""DeepLab of KerasHub, from a preset that the test saves: none can be downloaded."""

import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from care_tf.backbones.layer_changes import innermost_layers
from care_tf.boxes.segmentation._deeplab import build_segmentation_network
from care_tf.boxes.segmentation.cross_fitting import CrossFittedSegmentation, read_record
from care_tf.boxes.segmentation.segmentation_training import SegmentationSettings, train_segmentation
from care_tf.errors import InputError
from care_tf.images.pixels import read_image

keras_hub = pytest.importorskip("keras_hub")


def resnet(image_shape=(None, None, 3)):
    return keras_hub.models.ResNetBackbone(
        [64], [7], [64, 8, 8], [1, 1, 1], [1, 2, 2], "basic_block", image_shape=image_shape
    )


def saved(folder, decoder="P2", image_shape=(None, None, 3)):
    keras.utils.set_random_seed(0)
    backbone = keras_hub.models.DeepLabV3Backbone(
        image_encoder=resnet(image_shape),
        low_level_feature_key=decoder,
        spatial_pyramid_pooling_key="P4",
        upsampling_size=4,
        dilation_rates=[1, 2],
    )
    converter = keras_hub.layers.DeepLabV3ImageConverter(image_size=(512, 512), scale=[0.01, 0.02, 0.03], offset=-0.5)
    preprocessor = keras_hub.models.DeepLabV3ImageSegmenterPreprocessor(converter)
    segmenter = keras_hub.models.DeepLabV3ImageSegmenter(backbone, num_classes=21, preprocessor=preprocessor)
    segmenter.save_to_preset(str(folder))
    return str(folder)


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("deeplab"))


@pytest.mark.parametrize("decoder", ["P2", None])
def test_it_is_the_presets_segmenter_for_two_classes_in_plain_layers(tmp_path, decoder):
    folder = saved(tmp_path / "preset", decoder)
    network = build_segmentation_network((32, 48), architecture=f"keras_hub/{folder}")
    assert all(type(layer).__module__.startswith("keras.") for layer in innermost_layers(network)), "loads without hub"
    segmenter = keras_hub.models.DeepLabV3ImageSegmenter.from_preset(folder, num_classes=2)
    segmenter.output_conv.set_weights(network.get_layer("segmentation_logits").get_weights()[:1])  # its bias is 0
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 48, 3)).astype(np.float32)
    converter = segmenter.preprocessor.image_converter
    converter.image_size = (32, 48)
    # Not left out: the `Resizing` in KerasHub's pyramid would switch the normalization behind it to training.
    expected = keras.ops.softmax(segmenter(converter(images), training=False))
    assert np.std(expected[..., 1]) > 1e-3
    np.testing.assert_allclose(network(images), expected, atol=1e-5)


@pytest.mark.slow
def test_a_trained_network_is_recorded_loads_and_is_known_by_the_presets_content(preset, lesions, tmp_path):
    folder, own = tmp_path / "networks", shutil.copytree(preset, tmp_path / "preset")
    settings = SegmentationSettings((32, 48), f"keras_hub/{own}", num_folds=1, max_epochs=1, validation_fraction=0.34)
    train_segmentation(lesions, folder, settings, show_progress=False)
    recorded = read_record(folder)[1]
    assert (recorded["architecture"], recorded["backbone"]) == (f"keras_hub/{own}", None)
    image = read_image(lesions.image_paths[0])[:, ::-1]
    Image.fromarray(image).save(tmp_path / "unseen.png")
    assert CrossFittedSegmentation(folder)(image, str(tmp_path / "unseen.png"), "").shape == (32, 48)
    train_segmentation(lesions, folder, settings, show_progress=False)
    (own / "metadata.json").write_text("other")
    with pytest.raises(InputError, match="holds networks of other images or settings"):
        train_segmentation(lesions, folder, settings, show_progress=False)


def test_what_does_not_fit_is_refused(preset, tmp_path, monkeypatch):
    fixed, backbone = saved(tmp_path / "fixed", image_shape=(64, 64, 3)), tmp_path / "backbone"
    resnet().save_to_preset(str(backbone))
    for path, size, message in (
        (preset, (40, 48), r"in multiples of 16 px for .* Received \(40, 48\)"),
        (fixed, (32, 48), r"\(64, 64\), with which its encoder was saved"),
        (backbone, (32, 48), "KerasHub cannot load the preset '.*' as DeepLabV3Backbone"),
        ("no_such_preset", (32, 48), "KerasHub cannot load the preset 'no_such_preset'"),
    ):
        with pytest.raises(InputError, match=message):
            build_segmentation_network(size, architecture=f"keras_hub/{path}")
    monkeypatch.setattr(keras.layers.ZeroPadding2D, "__module__", "keras_hub.layers")  # as if it were KerasHub's
    with pytest.raises(InputError, match="of Keras' own layers, as a ResNet is. Received ZeroPadding2D in"):
        build_segmentation_network((32, 48), architecture=f"keras_hub/{preset}")
