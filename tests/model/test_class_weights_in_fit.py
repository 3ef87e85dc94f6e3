import keras
import numpy as np

from care_tf import CAREModel
from care_tf.losses import CostSensitiveCrossEntropy


def test_weights_in_the_loss_train_as_those_given_to_fit(network, images):
    image, labels, mask = images
    weights = [0.5, 1.0, 4.0]
    trained = []
    for loss, given in (
        (CostSensitiveCrossEntropy(weights), None),
        (keras.losses.SparseCategoricalCrossentropy(), dict(enumerate(weights))),
        (keras.losses.SparseCategoricalCrossentropy(), None),
    ):
        model = CAREModel(network(), alpha=0.5)
        model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=True)
        x = {"image": image, "mask": mask}
        model.fit(x, labels, class_weight=given, batch_size=8, epochs=2, verbose=0, shuffle=False)
        trained.append(model.classifier.get_weights())
    in_loss, in_fit, unweighted = trained
    for a, b in zip(in_loss, in_fit, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert max(np.abs(a - b).max() for a, b in zip(in_loss, unweighted, strict=True)) > 1e-3
