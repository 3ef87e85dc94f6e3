import pytest

from care_tf.errors import InputError
from care_tf.runs._stage import Stage


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"alpha": -0.1}, "alpha must be in"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"classification_weight": -1.0}, "classification_weight must be at least 0"),
        ({"embedding_weight": float("nan")}, "embedding_weight must be at least 0"),
        ({"classifier": "svm"}, "classifier must be one of keep, retrain, scale, tau_normalize, nearest_class_mean"),
        ({"loss": "focel"}, "'x': The classification loss must be one of .*Did you mean 'focal'"),
        ({"class_weight": "balance"}, "'x': The class weights must be one of .*Did you mean 'balanced'"),
        ({"embedding_loss": "tripplet"}, "'x': The embedding loss must be one of .*Did you mean 'triplet'"),
        ({"sampling": "class_balance"}, "'x': The sampling must be one of .*Did you mean 'class_balanced'"),
        ({"classifier": "nearest_class_mean"}, "contradicts itself: its classifier is computed"),
        ({"cache_activations": True}, "contradicts itself: .*no layer is frozen"),
        ({"classification_weight": 0.0}, "contradicts itself: .*nothing to learn from"),
        ({"classification_weight": 0.0, "embedding_loss": "triplet", "embedding_weight": 0.0}, "nothing to learn from"),
        ({"frozen_through": "features", "embedding_loss": "triplet"}, "contradicts itself: frozen_through=features"),
        ({"classifier": "scale", "embedding_loss": "triplet"}, "contradicts itself: classifier=scale"),
        ({"classifier": "scale", "alpha": 0.5}, "contradicts itself: classifier=scale"),
        ({"classifier": "tau_normalize", "epochs": 0, "alpha": 0.5}, "contradicts itself: .*neither alpha"),
        (
            {"classifier": {"name": "tau_normalize", "grid": 3}, "epochs": 0},
            r"'x': The arguments of the classifier .* are: tau .*Received grid",
        ),
        ({"sampling": "class_balanced", "class_weight": "balanced"}, "contradicts itself: its sampling balances"),
        ({"sampling": {"name": "class_aware"}, "loss": "balanced_softmax"}, "contradicts itself: its sampling"),
    ],
)
def test_bad_stages_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Stage(**{"name": "x", "epochs": 1, **arguments})
