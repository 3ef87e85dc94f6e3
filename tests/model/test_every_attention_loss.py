"""What CAREModel promises of whatever stands in the attention loss's place."""

import keras
import pytest
from classifiers import weights_difference
from marks import one_generation

from care_tf import CAREModel
from care_tf.losses import AttentionLoss, InputGradient, OutsidePerturbation, TripletLoss

SETTINGS = dict(batch_size=8, epochs=2, verbose=0, shuffle=False)
# Each class and kind that takes a path of its own in a step; what else they take, tests/losses serializes.
LOSSES = {
    "energy": AttentionLoss(form="energy"),
    "gradient": InputGradient(0.3),
    "worst": OutsidePerturbation("worst", 0.2),
}
# Where a few steps are looked at, and not what tracing makes of them: a trace costs as much as ten of them.
HOW = {name: {"run_eagerly": name != "worst"} for name in LOSSES}


@pytest.mark.parametrize("name", ["worst", *one_generation("energy", "gradient")])
def test_alpha_zero_trains_to_the_weights_of_plain_keras(network, images, name):
    """Moving statistics and the layers' own losses included."""
    image, labels, mask = images
    plain = network()
    plain.compile("sgd", "sparse_categorical_crossentropy", **HOW[name])
    plain.fit(image, labels, **SETTINGS)
    model = CAREModel(network(), alpha=0.0, attention_loss=LOSSES[name])
    model.compile("sgd", "sparse_categorical_crossentropy", **HOW[name])
    model.fit({"image": image, "mask": mask}, labels, **SETTINGS)
    assert weights_difference(plain, model.classifier) < 1e-6


@pytest.mark.parametrize("name", ["gradient", *one_generation("energy", "worst")])
def test_the_wrapper_saves_and_loads_in_safe_mode(network, images, tmp_path, name):
    image, labels, mask = images
    model = CAREModel(network(), attention_loss=LOSSES[name], embedding_loss=TripletLoss())
    model.compile("adam", "sparse_categorical_crossentropy", **HOW[name])
    model.fit({"image": image, "mask": mask}, labels, **SETTINGS)
    model.save(tmp_path / "care.keras")
    again = keras.models.load_model(tmp_path / "care.keras", safe_mode=True)
    assert again.attention_loss.get_config() == model.attention_loss.get_config()
    for either in (model, again):
        either.fit({"image": image, "mask": mask}, labels, **SETTINGS)
    assert weights_difference(model.classifier, again.classifier) < 1e-5
