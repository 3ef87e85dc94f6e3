"""TensorFlow Addons' losses, optimizers and metrics compile into a CAREModel, on the generation that has them."""

import numpy as np
import pytest

from care_tf import CAREModel
from care_tf.callbacks import TwoStageSchedule

tfa = pytest.importorskip("tensorflow_addons")


def test_addons_train_with_attention(network, images):
    image, labels, mask = images
    one_hot = np.eye(3, dtype=np.float32)[labels]
    model = CAREModel(network(), alpha=0.5)
    model.compile(
        tfa.optimizers.AdamW(weight_decay=1e-4, learning_rate=1e-3),
        tfa.losses.SigmoidFocalCrossEntropy(),
        metrics=[tfa.metrics.F1Score(num_classes=3, average="macro")],
    )
    history = model.fit(
        {"image": image, "mask": mask},
        one_hot,
        epochs=3,
        verbose=0,
        callbacks=[TwoStageSchedule(pretrain_epochs=1, learning_rate=5e-4)],
    ).history
    assert history["stage"] == [1, 2, 2]
    assert np.isfinite(history["loss"]).all() and "f1_score" in history
