"""Two replicas train as one: every loss that looks at a batch as a whole, the attention loss and its reductions."""

import subprocess
import sys


def test_two_replicas_train_as_one(tmp_path):
    script = tmp_path / "replicas.py"  # a process of its own: logical devices are set once, before TensorFlow starts
    script.write_text(REPLICAS)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


REPLICAS = """
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from care_tf import CAREModel
from care_tf.callbacks import DeferredReweighting, TwoStageSchedule
from care_tf.losses import AttentionLoss, FocalLoss, LDAMLoss

rng = np.random.default_rng(0)
vectors = rng.normal(size=(16, 4)).astype("float32")
image, labels = rng.random((16, 12, 12, 3)).astype("float32"), rng.integers(0, 3, 16)
mask = np.zeros((16, 12, 12, 1), "float32")
mask[[0, 1, 5, 9], 2:7, 1:6] = 1


def train(strategy, build, x, callbacks):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        model = build()
    data = tf.data.Dataset.from_tensor_slices((x, labels)).batch(8)
    history = model.fit(data, epochs=2, verbose=0, callbacks=callbacks).history
    if isinstance(model, CAREModel):
        history["sums"] = tf.convert_to_tensor(model._watch._sums).numpy()
        assert history["sums"][3] == 4
    return model.get_weights(), history


def dense(loss):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(keras.optimizers.SGD(0.5), loss)
    return model


def care(reduction):
    layers = keras.layers
    parts = [layers.Conv2D(5, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    net = keras.Sequential([keras.Input((12, 12, 3)), *parts, layers.Dense(3, activation="softmax")])
    model = CAREModel(net, alpha=0.7, attention_loss=AttentionLoss(reduction=reduction))
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    return model


def focal_made_outside():  # outside of the strategy's scope, one for each training
    loss = FocalLoss()
    return lambda: dense(loss)


one, two = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
cases = [
    (focal_made_outside, vectors),
    (lambda: lambda: dense(LDAMLoss([8, 4, 2], class_weights=[0.5, 1.0, 2.0])), vectors),  # made inside
]
batch = {"image": image, "mask": mask}
cases += [(lambda name=name: lambda: care(name), batch) for name in ("batch", "masked", "class_balanced")]
for make, x in cases:
    trained = []
    for strategy in (one, two):
        callbacks = [DeferredReweighting(1, [1.0, 2.0, 5.0]) if x is vectors else TwoStageSchedule(1, alpha=0.7)]
        trained.append(train(strategy, make(), x, callbacks))
    for a, b in zip(trained[0][0], trained[1][0]):
        np.testing.assert_allclose(a, b, atol=1e-5)
    for name, values in trained[0][1].items():
        np.testing.assert_allclose(values, trained[1][1][name], atol=1e-5, err_msg=name)
"""
