import json
import pickle
import shutil

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from care_tf.boxes.segmentation.cross_fitting import (
    CrossFittedSegmentation,
    TrainedModel,
    count_groups,
    deal_groups,
    read_record,
    write_record,
)
from care_tf.data.image_identity import image_identities
from care_tf.errors import InputError
from care_tf.files import file_sha256
from care_tf.images.pixels import read_image


@pytest.mark.one_generation
@given(st.lists(st.sampled_from(["", "a", "b", "c", "d", "e"]), min_size=8, max_size=40), st.integers(0, 5))
def test_no_group_is_torn_and_the_folds_are_even(groups, seed):
    names = [group or f"own {i}" for i, group in enumerate(groups)]
    if len(set(names)) < 2:
        return
    folds = deal_groups(groups, 2, seed)
    assert set(folds) == {1, 2}
    for name in set(names):
        assert len({fold for fold, other in zip(folds, names, strict=True) if other == name}) == 1
    largest_group = max(names.count(name) for name in names)
    assert abs(np.sum(folds == 1) - np.sum(folds == 2)) <= largest_group
    np.testing.assert_array_equal(folds, deal_groups(groups, 2, seed))


@pytest.mark.one_generation
def test_an_image_without_group_is_a_group_of_its_own():
    assert count_groups(["", "a", "", "a", "b"]) == 4
    assert sorted(deal_groups(["", "", ""], 3)) == [1, 2, 3]


@pytest.mark.one_generation
def test_too_few_groups_are_refused():
    with pytest.raises(InputError, match="at least 2 and at most the 1 groups. Received 2"):
        deal_groups(["a", "a"], 2)


def _constant(value):
    """A network that gives the same probability everywhere, so that the answer tells which network gave it."""
    images = keras.Input((16, 16, 3))
    layer = keras.layers.Conv2D(1, 1, activation="sigmoid", kernel_initializer="zeros")
    network = keras.Model(images, layer(images))
    layer.set_weights([np.zeros((1, 1, 3, 1), np.float32), np.array([np.log(value / (1 - value))], np.float32)])
    return network


@pytest.fixture
def trained(tmp_path, lesions):
    """Model 1 saw images 0-5 (lesions 0-2) and says .25, model 2 saw images 4-9 and says .75."""
    folder = tmp_path / "networks"
    folder.mkdir()
    models = []
    for number, value, seen in ((1, 0.25, range(6)), (2, 0.75, range(4, 10))):
        _constant(value).save(folder / f"model_{number}.keras")
        saw = [image_identities(lesions.image_paths[i], lesions.groups[i]) for i in seen]
        digest = file_sha256(folder / f"model_{number}.keras")
        models.append(TrainedModel(f"model_{number}.keras", frozenset().union(*saw), digest))
    write_record(folder, models, {"seed": 3})
    return folder


def _answer(segmentation, lesions, i, **changes):
    path = changes.get("path", lesions.image_paths[i])
    values = segmentation(read_image(path), path, changes.get("group", lesions.groups[i]))
    assert values.shape == (32, 48) and values.dtype == np.float32
    assert values.min() == pytest.approx(values.max(), abs=1e-6)
    return float(values.mean())


def test_each_image_is_segmented_by_those_that_did_not_see_it(trained, lesions):
    segmentation = CrossFittedSegmentation(trained)
    assert _answer(segmentation, lesions, 0) == pytest.approx(0.75, abs=1e-5)
    assert _answer(segmentation, lesions, 8) == pytest.approx(0.25, abs=1e-5)
    assert _answer(segmentation, lesions, 10) == pytest.approx(0.5, abs=1e-5)  # neither did: their mean


def test_an_image_that_all_models_saw_is_refused(trained, lesions):
    segmentation = CrossFittedSegmentation(trained)
    with pytest.raises(InputError, match="All 2 segmentation models saw the mask of image_4.png"):
        _answer(segmentation, lesions, 4)


def test_a_renamed_copy_or_another_image_of_the_lesion_is_known_again(trained, lesions, tmp_path):
    segmentation = CrossFittedSegmentation(trained)
    copy = str(tmp_path / "renamed.png")
    shutil.copy(lesions.image_paths[5], copy)
    with pytest.raises(InputError, match="saw the mask of renamed.png"):
        _answer(segmentation, lesions, 5, path=copy, group="")
    assert _answer(segmentation, lesions, 11, group="lesion_0") == pytest.approx(0.75, abs=1e-5)


def test_it_survives_pickling_with_its_models_loaded(trained, lesions):
    segmentation = CrossFittedSegmentation(trained)
    before = _answer(segmentation, lesions, 0)
    copy = pickle.loads(pickle.dumps(segmentation))
    assert _answer(copy, lesions, 0) == before
    assert copy.settings == segmentation.settings and copy.settings["training"] == {"seed": 3}


def test_the_record_survives_writing(trained):
    models, settings = read_record(trained)
    assert [model.file for model in models] == ["model_1.keras", "model_2.keras"]
    assert [model.sha256 for model in models] == [file_sha256(trained / model.file) for model in models]
    assert {"group:lesion_0"} <= models[0].saw and not {"group:lesion_0"} & models[1].saw
    assert settings == {"seed": 3}


def test_another_network_in_a_recorded_ones_place_is_refused(trained, lesions):
    """Model 1, which saw image 0, under the name of model 2, which did not."""
    shutil.copy(trained / "model_1.keras", trained / "model_2.keras")
    with pytest.raises(InputError, match="model_2.keras is not the network that segmentation.json knows the images of"):
        _answer(CrossFittedSegmentation(trained), lesions, 0)
    (trained / "model_2.keras").unlink()
    with pytest.raises(InputError, match="There is no file .*model_2.keras"):
        _answer(CrossFittedSegmentation(trained), lesions, 0)


@pytest.mark.one_generation
def test_bad_records_are_refused(trained, tmp_path):
    with pytest.raises(InputError, match="has no segmentation.json"):
        CrossFittedSegmentation(tmp_path)
    write_record(tmp_path, [], {})
    with pytest.raises(InputError, match="names no models"):
        CrossFittedSegmentation(tmp_path)
    record = json.loads((trained / "segmentation.json").read_text())
    del record["models"][0]["saw"]
    (trained / "segmentation.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="is damaged"):
        CrossFittedSegmentation(trained)
