import pytest

from care_tf.data.sampling import SAMPLING
from care_tf.errors import InputError
from care_tf.losses import CLASSIFICATION_LOSSES, EMBEDDING_LOSSES
from care_tf.losses.class_weights import CLASS_WEIGHTS
from care_tf.network.decoupled_classifier import CLASSIFIER_CHANGES
from care_tf.settings import Choice, Entry, did_you_mean, entry_of

KNOWN = {
    "plain": Entry(),
    "focal": Entry(arguments={"gamma": "discount, >= 0", "scale": ""}),
    "batches": Entry(arguments={"size": "", "number": ""}, one_of=("size", "number")),
}
REGISTRIES = (CLASSIFICATION_LOSSES, EMBEDDING_LOSSES, CLASS_WEIGHTS, SAMPLING, CLASSIFIER_CHANGES)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("plain", Choice("plain", {})),
        ({"name": "plain"}, Choice("plain", {})),
        ({"name": "focal", "gamma": 1.0}, Choice("focal", {"gamma": 1.0})),
        ({"number": 3, "name": "batches"}, Choice("batches", {"number": 3})),
    ],
)
def test_a_name_or_a_mapping_is_read_and_not_changed(setting, expected):
    before = repr(setting)
    assert Choice.read(setting, KNOWN, "loss") == expected
    assert repr(setting) == before


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: next(iter(registry)))
def test_every_name_of_a_registry_is_a_choice(registry):
    for name, entry in registry.items():
        assert entry_of(name, registry, "choice") is entry_of({"name": name}, registry, "choice") is entry
        arguments = dict.fromkeys(entry.one_of[:1] or entry.arguments, 1)
        assert Choice.read({"name": name, **arguments}, registry, "choice") == Choice(name, arguments)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("hinge", "The loss must be one of plain, focal, batches, alone or .*Received 'hinge'.$"),
        ("focla", "Received 'focla'. Did you mean 'focal'[?]$"),
        ({"name": "plan", "gamma": 1}, "Received {'name': 'plan', 'gamma': 1}. Did you mean 'plain'[?]$"),
        ({"gamma": 1}, "must be one of .*Received {'gamma': 1}.$"),
        (None, "must be one of .*Received None.$"),
        (["focal"], r"must be one of .*Received \['focal'\]"),
        ({"name": "plain", "gamma": 1}, "arguments of the loss 'plain' are: none. Received gamma.$"),
        (
            {"name": "focal", "gama": 1, 3: 1},
            r"'focal' are: gamma \(discount, >= 0\), scale. Received 3, gama. Did you mean",
        ),
        ("batches", "'batches' needs exactly one of size, number. Received 'batches'. Write .*\"size\": "),
        ({"name": "batches", "size": 1, "number": 2}, "exactly one of size, number. Received {'name'"),
    ],
)
def test_what_is_not_known_is_refused(setting, message):
    with pytest.raises(InputError, match=message):
        Choice.read(setting, KNOWN, "loss")


def test_only_near_names_are_suggested():
    assert did_you_mean("tripplet", EMBEDDING_LOSSES) == " Did you mean 'triplet'?"
    assert did_you_mean("cosine", EMBEDDING_LOSSES) == ""
