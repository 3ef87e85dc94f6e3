"""What `fit`, `evaluate` and `predict` need under a `tf.distribute` strategy that Keras does not do."""

from typing import Any

import keras
import tensorflow as tf

from care_tf import keras_generation
from care_tf.empty_batch import convolutions_take_no_image
from care_tf.network.observation import walk_layers
from care_tf.replicas import number_of_replicas


class OnReplicas(keras.Model):
    """The part of a model's `fit`, `evaluate` and `predict` that differs under a `tf.distribute` strategy.

    On one device all of it is Keras's own.
    """

    train_function: Any
    test_function: Any

    def make_train_function(self, force: bool = False):
        """Keras's own function of an epoch's steps, for an optimizer whose variables are there already."""
        if all(layer.built for layer in self._flatten_layers()):
            with self.distribute_strategy.scope():
                keras_generation.build_optimizer(self)
        if not keras_generation.lacks_workers(self.distribute_strategy):
            return super().make_train_function(force)
        if self.train_function is None or force:
            self.train_function = _steps(self, self.train_step)
        return self.train_function

    def make_test_function(self, force: bool = False):
        """Keras's own function of an evaluation's steps."""
        if not keras_generation.lacks_workers(self.distribute_strategy):
            return super().make_test_function(force)
        if self.test_function is None or force:
            self.test_function = _steps(self, self.test_step)
        return self.test_function

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Keras 3's, but for one replica's batch: Keras averages the replicas', which must then be equally large."""
        if self._distribute_strategy is None:
            return
        if iterator is not None:
            *_, batches = next(iter(iterator))  # (step, batches) or, in newer Keras, (first, last, batches)
            data_batch = _first_replicas(self.distribute_strategy, next(batches))
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=data_batch)


def check_not_empty(model: keras.Model, batch: tf.Tensor, training: bool) -> None:
    """Stops a step of no image on a replica where a layer cannot take it.

    Batch normalization would average over none, which is NaN from then on; on convolutions see
    `convolutions_take_no_image`.
    """
    if number_of_replicas() == 1:
        return
    devices = tf.distribute.get_strategy().extended.worker_devices
    if "CPU" in "".join(devices) and not convolutions_take_no_image():
        tf.debugging.assert_positive(
            tf.shape(batch)[0],
            "oneDNN's convolutions, which this processor has, need an image on every replica. Received a batch of "
            "fewer images than replicas. Set the environment variable TF_ENABLE_ONEDNN_OPTS=0, or drop the last batch: "
            "dataset.batch(n, drop_remainder=True).",
        )
    if not training:
        return
    layers = [layer for _, layer in walk_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
    synchronized = [layer for layer in layers if layer.synchronized]
    for layer in synchronized:
        keras_generation.count_images_of_others(layer)
    if all(layer in synchronized or not layer.trainable for layer in layers):
        return
    tf.debugging.assert_positive(
        tf.shape(batch)[0],
        "Batch normalization needs an image on every replica. Received a batch of fewer images than replicas. Give "
        "BatchNormalization synchronized=True, or drop the last batch: dataset.batch(n, drop_remainder=True).",
    )


def _steps(model: OnReplicas, step: Any) -> Any:
    """A function of `steps_per_execution` steps on several workers, where Keras 3 averages logs over an axis they lack.

    Its logs are those of this worker's first replica; those of an epoch, which `fit` reads itself, are of all.
    """
    strategy = model.distribute_strategy

    @tf.autograph.experimental.do_not_convert
    def one_step(batches: Any) -> Any:
        return _first_replicas(strategy, strategy.run(step, args=(next(batches),)))

    run = one_step if model.run_eagerly else tf.function(one_step, reduce_retracing=True)

    def steps(batches: Any) -> Any:
        for _ in range(model.steps_per_execution):
            logs = run(batches)
        return logs

    return steps


def _first_replicas(strategy: tf.distribute.Strategy, values: Any) -> Any:
    return tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], values)
