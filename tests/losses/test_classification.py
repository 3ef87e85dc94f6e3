import keras
import numpy as np
import pytest

from care_tf.errors import InputError
from care_tf.losses import (
    CLASSIFICATION_LOSSES,
    CostSensitiveCrossEntropy,
    FocalLoss,
    LDAMLoss,
    LogitAdjustedLoss,
    get_classification_loss,
)

COUNTS = [70, 25, 5]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("cross_entropy", CostSensitiveCrossEntropy()),
        ({"name": "cross_entropy"}, CostSensitiveCrossEntropy()),
        ("focal", FocalLoss()),
        ({"name": "focal", "gamma": 0.5}, FocalLoss(gamma=0.5)),
        ("ldam", LDAMLoss(COUNTS)),
        ({"name": "ldam", "max_margin": 1, "scale": 2}, LDAMLoss(COUNTS, max_margin=1, scale=2)),
        ("balanced_softmax", LogitAdjustedLoss(COUNTS, tau=1.0)),
        ("logit_adjustment", LogitAdjustedLoss(COUNTS)),
        ({"name": "logit_adjustment", "tau": 1.5}, LogitAdjustedLoss(COUNTS, tau=1.5)),
    ],
)
def test_settings_build_the_loss_they_name(setting, expected):
    loss = get_classification_loss(setting, COUNTS)
    assert isinstance(loss, keras.losses.Loss)
    assert type(loss) is type(expected)
    assert loss.get_config() == expected.get_config() | {"class_weights": [1.0, 1.0, 1.0]}


@pytest.mark.parametrize("name", CLASSIFICATION_LOSSES)
def test_weights_and_logits_reach_every_loss(name):
    loss = get_classification_loss(name, np.array(COUNTS), np.array([1.0, 2.0, 3.0], np.float32), from_logits=True)
    assert loss.get_config()["class_weights"] == [1.0, 2.0, 3.0] and loss.from_logits


def test_the_setting_is_not_changed():
    setting = {"name": "focal", "gamma": 1.0}
    get_classification_loss(setting, COUNTS)
    assert setting == {"name": "focal", "gamma": 1.0}


KNOWN = "cross_entropy, focal, ldam, balanced_softmax, logit_adjustment"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("hinge", f"classification loss must be one of {KNOWN}, .*Received 'hinge'"),
        ({"name": "hinge"}, "classification loss must be one of .*Received {'name': 'hinge'}"),
        ("focel", "Did you mean 'focal'"),
        ({"gamma": 2.0}, f"one of {KNOWN}, alone or as the name beside its arguments. Received {{'gamma': 2.0}}"),
        (None, "must be one of .*Received None"),
        ({"name": "focal", "alpha": 1}, r"'focal' are: gamma \(.*\). Received alpha"),
        ({"name": "balanced_softmax", "tau": 2}, "'balanced_softmax' are: none. Received tau"),
        (
            {"name": "ldam", "class_counts": [1, 2, 3]},
            r"'ldam' are: max_margin \(.*\), scale \(.*\). Received class_counts",
        ),
        ({"name": "focal", "gamma": -1}, r"'focal': gamma must be .*Received gamma=-1. Its arguments: gamma .*>= 0"),
        ({"name": "ldam", "scale": "big"}, "'ldam': scale must be .*Received scale='big'"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(InputError, match=message):
        get_classification_loss(setting, COUNTS)


@pytest.mark.parametrize("name", CLASSIFICATION_LOSSES)
def test_bad_counts_and_weights_are_refused(name):
    with pytest.raises(InputError, match="Every class needs at least one sample"):
        get_classification_loss(name, [3, 0, 1])
    with pytest.raises(InputError, match="one class weight for each of 3 classes. Received 2"):
        get_classification_loss(name, COUNTS, [1.0, 2.0])
    with pytest.raises(InputError, match="finite and >= 0"):
        get_classification_loss(name, COUNTS, [1.0, 2.0, -1.0])
