"""What `fit`, `evaluate` and `predict` need under a `tf.distribute` strategy that Keras does not do."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from care_tf import keras_generation
from care_tf.empty_batch import call_with_an_image
from care_tf.errors import InputError
from care_tf.network.observation import observing, walk_layers
from care_tf.replicas import number_of_replicas

_NO_IMAGE = "batch normalization of no image on a replica"


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

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Keras's own, with its arguments; each of several workers gets all rows, in the order of x.

        A data set that is not to be shared out (`AutoShardPolicy.OFF`) gives what Keras makes of it.
        """
        if isinstance(x, tf.data.Dataset) and keras_generation.lacks_workers(self.distribute_strategy):
            policies = tf.data.experimental.AutoShardPolicy
            if x.options().experimental_distribute.auto_shard_policy in (policies.AUTO, policies.FILE):
                options = tf.data.Options()  # as Keras 2 sets it: workers that share out files mix up the rows
                options.experimental_distribute.auto_shard_policy = policies.DATA
                x = x.with_options(options)
        return super().predict(x, *args, **kwargs)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Keras 3's, but for one replica's batch: Keras averages the replicas', which must then be equally large."""
        if self._distribute_strategy is None:
            return
        if iterator is not None:
            iterator.reset()  # Keras does so afterwards, and the validation's has no batch left after an epoch
            *_, batches = next(iter(iterator))  # (step, batches) or, in newer Keras, (first, last, batches)
            data_batch = _first_replicas(self.distribute_strategy, next(batches))
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=data_batch)


def call_on_replica(model: keras.layers.Layer, network: Callable[[Any], Any], inputs: Any) -> Any:
    """What a network gives for this replica's images, of which there may be none; see `call_with_an_image`.

    Args:
      model: Whose layers the network calls. The row of zeros that stands in for no image does not count in the
        statistics of its batch normalization.
      network: Row by row: tensors (B, ...), B > 0, in any structure -> tensors (B, ...) in any structure.
      inputs: Tensors (B, ...), B >= 0, in any structure.

    Returns:
      `network(inputs)`; for B = 0 the same structure with no rows.
    """
    if number_of_replicas() == 1:
        return network(inputs)
    is_image = tf.minimum(tf.shape(tf.nest.flatten(inputs)[0])[0], 1)

    def of_images(args: tuple) -> tuple:
        return args[0][: is_image * tf.shape(args[0])[0]], *args[1:]

    with contextlib.ExitStack() as stack:
        for layer in _batch_normalizations(model):
            stack.enter_context(observing(layer, keras_generation.STATISTICS, change=of_images))
        return call_with_an_image(network, inputs)


def own_rows(rows: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """What was observed inside of `call_on_replica`, (b, ...), b > 0, for this replica's images (B, ...): (B, ...)."""
    return rows if number_of_replicas() == 1 else rows[: tf.shape(images)[0]]


def check_has_image(model: keras.Model, images: tf.Tensor) -> None:
    """Stops a training step of no image on a replica whose batch normalization takes the statistics of its own alone.

    Of none they are NaN, and from then on the moving ones are.
    """
    layers = _batch_normalizations(model)
    if number_of_replicas() > 1 and any(layer.trainable and not layer.synchronized for layer in layers):
        tf.debugging.assert_positive(tf.shape(images)[0], _NO_IMAGE)


@contextlib.contextmanager
def missing_image_named() -> Iterator[None]:
    """Turns the error of `check_has_image`, which TensorFlow raises, into a sentence.

    Raises:
      InputError: The block met a replica without an image.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        if _NO_IMAGE not in str(error):
            raise
        raise InputError(
            "Batch normalization that is not synchronized needs an image on every replica. Received a training batch "
            "that leaves one without. Give BatchNormalization synchronized=True, or drop the last batch: "
            "dataset.batch(n, drop_remainder=True)."
        ) from error


def _batch_normalizations(model: keras.layers.Layer) -> list[keras.layers.BatchNormalization]:
    layers = {id(layer): layer for _, layer in walk_layers(model)}.values()
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]


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
