import hashlib
import inspect
import json
import pickle
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from care_tf.boxes.making.methods import FunctionMethod, box_settings_of, get_method
from care_tf.boxes.making.one_image import BoxSettings
from care_tf.boxes.saliency import _bms as bms
from care_tf.boxes.saliency import _dsr as dsr
from care_tf.boxes.saliency._bms import bms_saliency
from care_tf.boxes.saliency._dsr import dsr_saliency
from care_tf.boxes.segmentation.cross_fitting import TrainedModel, write_record
from care_tf.data.image_identity import image_identities
from care_tf.errors import InputError


@pytest.fixture
def image():
    """A dark disc on light skin."""
    rows, columns = np.mgrid[:48, :64]
    inside = (rows - 22) ** 2 + (columns - 30) ** 2 < 100
    noise = np.random.default_rng(0).integers(-6, 7, (48, 64, 3))
    return (np.where(inside[..., np.newaxis], (90, 50, 40), (220, 180, 160)) + noise).astype(np.uint8)


@pytest.fixture
def image_path(tmp_path, image):
    Image.fromarray(image).save(tmp_path / "a.png")
    return str(tmp_path / "a.png")


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    path = tmp_path / "my_saliency.py"
    path.write_text("not_callable = 1\ndef red(image):\n    return image[..., 0] / 255\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield path
    sys.modules.pop("my_saliency", None)


def a_model(path, share):
    """A network whose map is `share` of the red channel."""
    images = keras.Input((8, 8, 3))
    layer = keras.layers.Dense(1, use_bias=False, name="map")
    model = keras.Model(images, layer(images))
    layer.set_weights([np.array([[share / 255], [0], [0]], np.float32)])
    model.save(path)
    return path


def in_another_process(method):
    """What a worker gets."""
    return pickle.loads(pickle.dumps(method))


@pytest.mark.parametrize(("name", "function"), [("dsr", dsr_saliency), ("bms", bms_saliency)])
def test_the_built_in_methods_are_their_functions(name, function, image):
    method = in_another_process(get_method(name))
    assert method.name == name and list(method.settings) == ["source_sha256"]
    np.testing.assert_array_equal(method(image, "a.png", ""), function(image))


def test_a_function_of_the_users_own(user_module, image):
    method = in_another_process(get_method("my_saliency:red"))
    assert method.name == "my_saliency:red"
    np.testing.assert_array_equal(method(image, "a.png", ""), image[..., 0] / 255)


def test_a_changed_file_of_the_users_function_is_another_setting(user_module):
    before = get_method("my_saliency:red").settings
    assert get_method("my_saliency:red").settings == before
    user_module.write_text(user_module.read_text() + "# changed\n")
    assert get_method("my_saliency:red").settings != before
    json.dumps(before)


def test_a_function_without_a_python_file_has_settings_too():
    nothing = hashlib.sha256(b"").hexdigest()
    assert get_method("math:sqrt") == FunctionMethod("math:sqrt", "math:sqrt", {"source_sha256": nothing})


def test_changed_code_of_a_built_in_method_is_another_setting(tmp_path, monkeypatch):
    before = get_method("bms").settings
    (tmp_path / "bms.py").write_text("def bms_saliency(image):\n    return image[..., 0] / 255\n")
    monkeypatch.setattr(inspect, "getsourcefile", lambda function: str(tmp_path / "bms.py"))
    changed = get_method("bms").settings
    assert changed != before
    (tmp_path / "part_of_it.py").write_text("SIGMA = 9\n")
    assert get_method("bms").settings not in (before, changed)


def test_cross_fitted_networks_segment_what_they_did_not_see(tmp_path, image, image_path):
    folder = tmp_path / "networks"
    folder.mkdir()
    models = [TrainedModel("1.keras", image_identities(image_path)), TrainedModel("2.keras", frozenset({"group:p1"}))]
    for model, share in zip(models, (0.25, 1.0), strict=True):
        a_model(folder / model.file, share)
    write_record(folder, models, {"seed": 0, "max_pixel_value": 4095})
    method = in_another_process(get_method("segmentation", model=folder))
    assert method.name == "segmentation" and method.settings["training"]["seed"] == 0
    assert method.max_pixel_value == 4095
    assert len(pickle.dumps(method)) < 1000  # every image of a run carries it
    unseen_by_the_second_only = method(image, image_path, "")
    assert unseen_by_the_second_only.shape == (48, 64) and unseen_by_the_second_only.mean() > 0.5
    with pytest.raises(InputError, match="All 2 segmentation models saw the mask of a.png"):
        method(image, image_path, "p1")


def test_networks_trained_again_are_another_setting(tmp_path):
    write_record(tmp_path, [TrainedModel("1.keras", frozenset({"group:p1"}))], {"seed": 0})
    before = get_method("segmentation", model=tmp_path).settings
    write_record(tmp_path, [TrainedModel("1.keras", frozenset({"group:p2"}))], {"seed": 0})
    assert get_method("segmentation", model=tmp_path).settings != before


def test_a_single_model_segments_only_what_it_was_not_trained_on(tmp_path, image, image_path):
    path = a_model(tmp_path / "model.keras", 1.0)
    Image.fromarray(image).save(tmp_path / "copy.png")
    Image.fromarray(image[::-1]).save(tmp_path / "ISIC_0000001.png")
    (tmp_path / "training.csv").write_text("image,label,group\ncopy.png,DF,\nISIC_0000001.png,DF,p1\n")
    method = in_another_process(get_method("segmentation", model=path, training_manifest=tmp_path / "training.csv"))
    assert method.name == "segmentation"
    with pytest.raises(InputError, match="The model was trained on a.png, its group '' or a copy of it"):
        method(image, image_path, "")
    Image.fromarray(image[:, ::-1]).save(tmp_path / "new.png")
    with pytest.raises(InputError, match="its group 'p1'"):
        method(image, str(tmp_path / "new.png"), "p1")
    saliency = method(image, str(tmp_path / "new.png"), "p2")
    assert saliency.shape == (48, 64)
    assert saliency[22, 30] < 0.5 < saliency[2, 2]


def test_a_model_trained_elsewhere_segments_everything(tmp_path, image, image_path):
    path = a_model(tmp_path / "model.keras", 1.0)
    method = get_method("segmentation", model=path, trained_elsewhere=True)
    assert method(image, image_path, "p1").max() > 0.5
    before = method.settings["model_sha256"]
    a_model(path, 0.0)
    method = get_method("segmentation", model=path, trained_elsewhere=True)
    assert method.settings["model_sha256"] != before
    assert method(image, image_path, "p1").max() == 0  # not the network loaded before


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "drs",
            {},
            "The method must be one of dsr, bms, segmentation, or module:function.*Received 'drs'. Did you mean 'dsr'?",
        ),
        ("no_such_module:f", {}, "module 'no_such_module' cannot be imported"),
        (":f", {}, "module '' cannot be imported"),
        ("my_saliency:blue", {}, "'blue' in my_saliency must be a function; it is missing"),
        ("my_saliency:not_callable", {}, "must be a function; it is a int"),
        ("dsr", {"model": "m.keras"}, "A model.*go with the method segmentation. Received dsr"),
        ("my_saliency:red", {"trained_elsewhere": True}, "go with the method segmentation"),
        ("segmentation", {}, "needs a model"),
        ("segmentation", {"model": "no_such_folder"}, "There is no model .*no_such_folder"),
    ],
)
def test_what_cannot_be_built_is_refused(user_module, name, options, message):
    with pytest.raises(InputError, match=message):
        get_method(name, **options)


def test_models_are_refused_where_it_is_unclear_what_they_saw(tmp_path):
    path = a_model(tmp_path / "model.keras", 1.0)
    with pytest.raises(InputError, match="give the manifest it was trained on, or vouch.*Received neither"):
        get_method("segmentation", model=path)
    with pytest.raises(InputError, match="Received both"):
        get_method("segmentation", model=path, training_manifest=path, trained_elsewhere=True)
    folder = tmp_path / "networks"
    folder.mkdir()
    with pytest.raises(InputError, match=r"has no segmentation\.json"):
        get_method("segmentation", model=folder)
    write_record(folder, [], {})
    with pytest.raises(InputError, match="which know what they saw: leave out"):
        get_method("segmentation", model=folder, trained_elsewhere=True)


def test_a_file_that_is_no_model_is_refused_before_any_image(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"model\.keras is not a model that Keras can load"):
        get_method("segmentation", model=tmp_path / "model.keras", trained_elsewhere=True)


def test_every_method_brings_how_its_maps_best_become_boxes():
    assert box_settings_of("bms") == bms.BOX_SETTINGS and box_settings_of("dsr") == dsr.BOX_SETTINGS
    assert BoxSettings(**box_settings_of("dsr")).threshold == 0.15
    assert box_settings_of("segmentation") == {"boxes": "largest"}
    assert box_settings_of("my_package:my_function") == {}
