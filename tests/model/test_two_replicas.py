"""Two replicas train as one: losses that look at a batch as a whole, batches that do not divide, and the metrics."""

import subprocess
import sys


def test_two_replicas_train_as_one(tmp_path):
    script = tmp_path / "replicas.py"  # a process of its own: logical devices are set once, before TensorFlow starts
    script.write_text(REPLICAS)
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


REPLICAS = """
import gc

import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from care_tf import CAREModel
from care_tf.errors import InputError
from care_tf.keras_generation import KERAS_3, load_weights
from care_tf.callbacks import DeferredReweighting, FiniteLoss, TwoStageSchedule
from care_tf.callbacks.batch_losses import BatchLosses
from care_tf.losses import AttentionLoss, FocalLoss, InputGradient, LDAMLoss, TripletLoss
from care_tf.metrics import MacroAUC
from care_tf.model import MaskHead

gc.set_threshold(200_000, 20, 20)  # as tests/conftest.py does, for the many traces
rng = np.random.default_rng(0)
vectors = rng.normal(size=(16, 4)).astype("float32")
image, labels = rng.random((16, 12, 12, 3)).astype("float32"), rng.integers(0, 3, 16)
mask = np.zeros((16, 12, 12, 1), "float32")
mask[[0, 1, 5, 9, 15], 2:7, 1:6] = 1
weights = rng.random(16).astype("float32")
weights[[3, 9]] = 0


class Losses(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.found = []

    def on_epoch_begin(self, epoch, logs=None):
        self.losses = BatchLosses(self.model)

    def on_train_batch_end(self, batch, logs=None):
        self.found.append(self.losses.next(logs)["loss"])


def train(strategy, build, data, callbacks):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        model = build()
    model.run_eagerly = strategy is one  # what the replicas' graph is held against needs none
    validation = data if getattr(model, "embedding_loss", None) is not None else None  # traced in one case
    own = Losses()
    callbacks = [own, FiniteLoss(), *callbacks]
    history = model.fit(data, validation_data=validation, epochs=2, verbose=0, callbacks=callbacks).history
    history["own losses"] = own.found  # of every batch
    if isinstance(model, CAREModel):
        history["sums"] = tf.convert_to_tensor(model._watch._sums).numpy()
        assert history["sums"][2] == 5
        if model.embedding_loss is not None:
            history["predicted"] = model.predict(data, verbose=0)
    return model.get_weights(), history


def dense(loss):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(keras.optimizers.SGD(0.5), loss)
    return model


def care(reduction, loss="sparse_categorical_crossentropy", further=(), optimizer=None, run_eagerly=False, **arguments):
    layers = keras.layers
    parts = [layers.Conv2D(5, 3, activation="relu", name="first"), *further, layers.GlobalAveragePooling2D()]
    last = layers.Dense(3, activation="softmax", kernel_regularizer="l2")
    net = keras.Sequential([keras.Input((12, 12, 3)), *parts, last])
    arguments.setdefault("attention_loss", AttentionLoss(reduction=reduction))
    model = CAREModel(net, alpha=0.7, **arguments)
    metrics = {"metrics": [MacroAUC(3), "accuracy"], "weighted_metrics": [MacroAUC(3, name="weighted")]}
    if "embedding_loss" not in arguments:  # traced in one case
        metrics = {}
    model.compile(optimizer or keras.optimizers.SGD(0.1), loss, jit_compile=False, run_eagerly=run_eagerly, **metrics)
    return model


def two_layers():  # of which the second replica has no image in the last batch, too
    further = [keras.layers.Conv2D(4, 3, activation="relu", name="second")]
    return care("batch", further=further, attention_layer=["first", "second"], embedding_loss=TripletLoss())


def normalization():
    return [keras.layers.BatchNormalization(synchronized=True, momentum=0.5)]


def asking_the_network():
    return care("masked", attention_loss=InputGradient(0.3, "masked"), further=normalization())


def learning_masks():
    head = MaskHead([0, 1, 2], width=4, warm_up_steps=2, backbone_weight=0.5)
    model = care("masked", mask_head=head)
    kernel = np.array([2.0, -2.0, 1.0, -1.0]).reshape(1, 1, 4, 1)
    head.score.set_weights([kernel, np.zeros(1)])
    p = tf.convert_to_tensor(head(model.classifier.layers[0](image))).numpy()
    head.score.set_weights([kernel, -np.median(np.log(p / (1 - p)), keepdims=True).ravel()])  # half of it is a region
    return model


def focal_made_outside():  # outside of the strategy's scope, one for each training
    loss = FocalLoss()
    return lambda: dense(loss)


def mean_of_batch(y, predictions):  # a scalar, which Keras 3 does not divide by the number of replicas
    rows = tf.one_hot(tf.cast(tf.reshape(y, [-1]), tf.int32), 3) * predictions
    return -tf.reduce_mean(tf.reduce_sum(rows, axis=-1))


def summed():  # with what else Keras computes for each replica alone: clipping, and the statistics of normalization
    loss = keras.losses.SparseCategoricalCrossentropy(reduction="sum")
    scaling = {"loss_scale_factor": 1024.0} if KERAS_3 else {}
    return care("class_balanced", loss, normalization(), keras.optimizers.SGD(0.1, clipnorm=0.05, **scaling))


one, two = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
batch = {"image": image, "mask": mask}
rows = tf.data.Dataset.from_tensor_slices((batch, labels, weights))
fives = rows.batch(5)  # 5, 5, 5, 1: never even, and no image on the second replica in the last
even = tf.data.Dataset.from_tensor_slices((vectors, labels)).batch(8)
cases = {
    "focal": (focal_made_outside, even),
    "ldam": (lambda: lambda: dense(LDAMLoss([8, 4, 2], class_weights=[0.5, 1.0, 2.0])), even),  # made inside
    "embedding, two layers": (lambda: two_layers, fives),
    "mask head": (lambda: learning_masks, fives),
    "network": (lambda: asking_the_network, fives),
}
if KERAS_3:  # which divides and clips on each replica alone
    cases["scalar"] = lambda: lambda: care("masked", mean_of_batch), fives.map(lambda x, y, w: (x, y))
    cases["sum"] = lambda: summed, fives
problems = []
for case, (make, data) in cases.items():
    trained = []
    for strategy in (one, two):
        callbacks = [DeferredReweighting(1, [1.0, 2.0, 5.0]) if data is even else TwoStageSchedule(1, alpha=0.7)]
        trained.append(train(strategy, make(), data, callbacks))
    assert case != "mask head" or max(trained[0][1]["learned_masks"]) > 0
    pairs = [("weights", a, b) for a, b in zip(trained[0][0], trained[1][0])]
    pairs += [(name, values, trained[1][1][name]) for name, values in trained[0][1].items()]
    for name, a, b in pairs:
        if not np.allclose(a, b, rtol=0, atol=2e-6):
            problems.append(f"{case}: {name} {np.abs(np.subtract(a, b)).max():.2g}")
assert not problems, problems



def scaled():  # as mixed_float16 compiles it
    if KERAS_3:
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2.0**20)
    else:
        optimizer = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2.0**20)
    return care("batch", optimizer=optimizer)


overflowing = np.array([1, 1, 1, 1, 1e38], "float32")  # the last image is the second replica's
trained = []
for strategy in (one, two):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        model = scaled()
    model.run_eagerly = strategy is one
    before = model.classifier.get_weights()
    model.fit(tf.data.Dataset.from_tensor_slices((image[:5], labels[:5], overflowing)).batch(5), verbose=0)
    for old, new in zip(before, model.classifier.get_weights()):
        np.testing.assert_array_equal(old, new)
    # With weights again: the same step, traced once.
    model.fit(tf.data.Dataset.from_tensor_slices((image[:10], labels[:10], np.ones(10, "float32"))).batch(5), verbose=0)
    assert any((old != new).any() for old, new in zip(before, model.classifier.get_weights()))
    scale = model.optimizer.dynamic_scale if KERAS_3 else model.optimizer.loss_scale
    assert float(tf.convert_to_tensor(scale)) == 2.0**19
    trained.append(model.classifier.get_weights())
for a, b in zip(*trained):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)

with two.scope():  # where a run that goes on reads its last epoch
    steps = tf.convert_to_tensor(model.optimizer.iterations).numpy()
    model.save_weights("epoch.weights.h5")
    model.classifier.set_weights([np.zeros_like(array) for array in trained[1]])
    model.optimizer.iterations.assign(9)
    load_weights(model, "epoch.weights.h5")
for a, b in zip(trained[1], model.classifier.get_weights()):
    np.testing.assert_array_equal(a, b)
assert tf.convert_to_tensor(model.optimizer.iterations).numpy() == steps < 9


def refusal(settings=None, run_eagerly=True, **arguments):  # settings of the optimizer, made inside of the scope
    with two.scope():
        optimizer = keras.optimizers.SGD(0.1, **(settings or {}))
        # What is refused while tracing needs no trace; what an assertion in the graph refuses does.
        model = care("batch", optimizer=optimizer, run_eagerly=run_eagerly, **arguments)
    try:
        model.fit(rows.skip(15).batch(5), verbose=0)  # no image on the second replica
    except InputError as refused:
        return str(refused)
    raise AssertionError(f"{arguments} are not refused")


assert "needs an image on every replica" in refusal(further=[keras.layers.BatchNormalization()], run_eagerly=False)
if KERAS_3:
    adding = keras.layers.Conv2D(5, 3, activity_regularizer="l2", name="adding")
    assert "Received them of the layers adding on 2" in refusal(further=[adding])
    assert "accumulates gradients on one device only" in refusal(settings={"gradient_accumulation_steps": 2})

with two.scope():
    model = care("batch")
halves = np.where(np.arange(16) == 9, 0.5, labels).astype("float32")
try:
    model.fit(tf.data.Dataset.from_tensor_slices((image, halves)).batch(8), verbose=0)
    raise AssertionError("a label of no class is not told")
except InputError as told:
    assert "Received 1 labels that are none (after 2 training steps)" in str(told), told
"""
