"""Every difference between Keras 2.15 (TensorFlow 2.15) and Keras 3, and nothing else."""

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from care_tf.errors import InputError
from care_tf.interrupts import interrupt_held
from care_tf.replicas import number_of_replicas

KERAS_3 = int(keras.__version__.split(".")[0]) >= 3

register = keras.saving.register_keras_serializable(package="care_tf")


def add_scalar(model: keras.Model, name: str, value: float):
    """A float32 variable of a model that no gradient reaches and no dtype policy casts."""
    uncast = {"autocast": False} if KERAS_3 else {"experimental_autocast": False}
    initializer = keras.initializers.Constant(value)
    return model.add_weight(name=name, shape=(), dtype="float32", initializer=initializer, trainable=False, **uncast)


def add_counter(layer: keras.layers.Layer, name: str):
    """A whole number of a layer, saved with it, to which all replicas assign the same."""
    aggregation: Any = "only_first_replica" if KERAS_3 else tf.VariableAggregation.ONLY_FIRST_REPLICA
    settings: dict[str, Any] = {"initializer": "zeros", "trainable": False, "aggregation": aggregation}
    return layer.add_weight(name=name, shape=(), dtype="int64", **settings)


def set_direction(metric: keras.metrics.Metric, direction: str) -> keras.metrics.Metric:
    """Tells Keras 3's `EarlyStopping(mode="auto")` whether a metric is better "up" or "down"; Keras 2 goes by names."""
    metric._direction = direction
    return metric


def sublayers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layers directly below a model or composite layer."""
    if isinstance(layer, keras.Model):
        return list(layer.layers)
    return list(layer._flatten_layers(include_self=False, recursive=False))


def renew_state(model: keras.Model) -> None:
    """Makes layers that compute with copies of their weights, such as Normalization, copy them anew.

    To be called after weights were assigned; Keras does it where it loads them itself, Keras 2 in `set_weights`, too.
    """
    for layer in model._flatten_layers():
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def load_weights(model: keras.Model, path: str) -> None:
    """Keras' `load_weights`, on several replicas, too.

    Keras 2 cannot: it divides the count of a metric by the number of replicas while that is still HDF5's. A count is of
    one epoch, so there it is not read.
    """
    # Neither list has all: a model leaves out of its metrics what it does not show, and what is compiled is no module.
    metrics = [] if KERAS_3 else [*model.metrics, *(m for m in model.submodules if isinstance(m, keras.metrics.Metric))]
    try:
        for metric in metrics:
            metric.load_own_variables = lambda store: None
        with interrupt_held():
            model.load_weights(path)
    finally:
        for metric in metrics:
            vars(metric).pop("load_own_variables", None)


def set_weights(model: keras.Model, weights: Sequence[Any]) -> None:
    """Keras' `set_weights`, after which every layer computes with the weights that it has."""
    model.set_weights(weights)
    renew_state(model)


def call_model(model: keras.Model, inputs: Any, training: bool | None) -> tf.Tensor:
    """Calls a model with `training` where its `call` takes it (Keras 2 passes the argument on unasked)."""
    if KERAS_3 or model._expects_training_arg:
        return model(inputs, training=training)
    return model(inputs)


def model_between(tensors: list[Any], output: Any, name: str) -> keras.Model:
    """A model that begins at tensors inside another one, which shares its layers and is left as it was.

    Keras 3 moves those of the tensors that are inputs of the other model, which could then not be saved any more.

    Raises:
      ValueError: The output depends on something else, too. Keras 3.12 and older say so only when the model is called.
    """
    histories = [tensor._keras_history for tensor in tensors]
    try:
        model = keras.Model(tensors if len(tensors) > 1 else tensors[0], output, name=name)
    finally:
        if KERAS_3:
            for tensor, history in zip(tensors, histories, strict=True):
                tensor._keras_history = history
    if sum(isinstance(layer, keras.layers.InputLayer) for layer in model.layers) > len(tensors):
        raise ValueError("The output depends on an input other than those given.")
    return model


def compiled_loss(model: keras.Model, x, y, y_pred, sample_weight, training: bool) -> tf.Tensor:
    """The compiled loss and the model's own losses, as one device has them whatever the number of replicas."""
    arguments = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight}
    loss = model.compute_loss(**arguments, **({"training": training} if KERAS_3 else {}))
    replicas = number_of_replicas()
    if replicas == 1:
        return loss
    if _is_divided_by_replicas(model, y, y_pred):
        return loss * replicas
    own = [tf.cast(term, loss.dtype) * (1 - 1 / replicas) for term in model.losses]  # Keras always divides these
    return tf.add_n([loss, *own])


def _is_divided_by_replicas(model: keras.Model, y, y_pred) -> bool:
    """Whether Keras divides the compiled loss: on both generations means, but neither sums nor, on Keras 3, scalars."""
    loss = tf.nest.flatten(model.loss)[0]
    means = ("sum_over_batch_size", "mean", "mean_with_sample_weight") if KERAS_3 else ("auto", "sum_over_batch_size")
    if getattr(loss, "reduction", means[0]) not in means:
        return False
    if isinstance(loss, str) or not KERAS_3:
        return True
    per_image = loss.call if isinstance(loss, keras.losses.Loss) else loss
    return per_image(tf.cast(y, y_pred.dtype), y_pred).shape.rank != 0


def check_own_losses(model: keras.Model) -> None:
    """Stops a step on replicas whose layers add losses of their own: Keras 3 mixes up the replicas' tensors.

    Raises:
      InputError: They do.
    """
    if not KERAS_3 or number_of_replicas() == 1:
        return
    names = [layer.name for layer in model._flatten_layers() if layer._losses]
    if names:
        raise InputError(
            "On several replicas Keras 3 takes losses that a layer adds, by add_loss or activity_regularizer, from the "
            f"wrong replica. Received them of the layers {', '.join(names)} on {number_of_replicas()} replicas. "
            "Regularize weights instead, train on one device, or use TensorFlow 2.15."
        )


def scaled_loss(optimizer: keras.optimizers.Optimizer, loss: tf.Tensor) -> tf.Tensor:
    """The loss to differentiate: Keras 3 scales it here for float16, Keras 2 inside `minimize`."""
    return optimizer.scale_loss(loss) if KERAS_3 else loss


def apply_gradients(model: keras.Model, loss: tf.Tensor, tape: tf.GradientTape) -> None:
    """One optimizer step on `scaled_loss`, as the generation's own `train_step` does it."""
    if KERAS_3:
        variables = model.trainable_weights
        gradients = _summable(model.optimizer, tape.gradient(loss, variables))
        model.optimizer.apply_gradients(zip(gradients, variables, strict=True))
    else:
        model.optimizer.minimize(loss, model.trainable_variables, tape=tape)


def _summable(optimizer: keras.optimizers.Optimizer, gradients: list[Any]) -> list[Any]:
    """This replica's gradients, as they are to be added up.

    Keras 3 clips each part, and looks for a loss scale's overflow in the first replica's: both get equal parts of the
    sum instead.
    """
    inner, replicas = _innermost(optimizer), number_of_replicas()
    if replicas == 1:
        return gradients
    if inner.gradient_accumulation_steps:
        raise InputError(
            "Keras 3 accumulates gradients on one device only. Received gradient_accumulation_steps="
            f"{inner.gradient_accumulation_steps} on {replicas} replicas. Leave it out of the optimizer, or train on "
            "one device."
        )
    is_scaled, is_clipped = inner is not optimizer, inner.clipnorm or inner.global_clipnorm or inner.clipvalue
    if is_scaled and is_clipped:
        raise InputError(
            "Keras 3 clips a gradient before it is added up over replicas, which cannot be undone for a scaled loss. "
            f"Received mixed_float16 and {type(inner).__name__} with clipping on {replicas} replicas. Leave clipping "
            "out, or use mixed_bfloat16."
        )
    if not is_scaled and not is_clipped:
        return gradients
    given = [tf.convert_to_tensor(gradient) for gradient in gradients if gradient is not None]
    whole = iter(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, given))
    summed = [None if gradient is None else next(whole) for gradient in gradients]
    if is_clipped:  # each part is then too short to be clipped again
        scale = optimizer.loss_scale_factor or 1.0
        unscaled = [None if gradient is None else gradient / scale for gradient in summed]
        summed = [None if gradient is None else gradient * scale for gradient in optimizer._clip_gradients(unscaled)]
    return [None if gradient is None else gradient / replicas for gradient in summed]


def forget_validation_data(model: keras.Model) -> None:
    """Keras 2 keeps those of a fit that broke off while it validated, and would validate the next fit on them."""
    if not KERAS_3:
        model._eval_data_handler = None


def unpack_batch(data):
    """(x, y, sample_weight) of what `fit` hands to `train_step`."""
    unpack = keras.utils.unpack_x_y_sample_weight if KERAS_3 else tf.keras.utils.unpack_x_y_sample_weight
    return unpack(data)


def synchronize(layer: keras.layers.BatchNormalization) -> Callable[[], None]:
    """Lets batch normalization take the statistics of all replicas' images; gives what undoes it."""
    before = {name: getattr(layer, name) for name in ("synchronized", "fused") if hasattr(layer, name)}
    layer.synchronized = True
    if "fused" in before:  # Keras 2's kernel sees one replica
        layer.fused = False

    def restore() -> None:
        for name, value in before.items():
            setattr(layer, name, value)

    return restore


# The method of batch normalization that takes the mean and the variance of its first argument, (B, ...).
STATISTICS = "_moments" if KERAS_3 else "_calculate_mean_and_var"


def lacks_workers(strategy: tf.distribute.Strategy) -> bool:
    """Whether Keras's own `fit` cannot run a strategy: Keras 3 has no way to take several workers' logs together."""
    return KERAS_3 and isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def number_in(variable: Any) -> float:
    """The number that a scalar variable holds; `float` does not take one that is mirrored on replicas."""
    return float(tf.convert_to_tensor(variable))


def local_parts(model: keras.Model, variable: Any) -> tuple[Any, ...]:
    """What each of this process's replicas holds of a metric's variable; asks no other worker."""
    return model.distribute_strategy.experimental_local_results(tensorflow_variable(variable))


def learning_rate(optimizer: keras.optimizers.Optimizer) -> float:
    """The optimizer's current learning rate."""
    return number_in(optimizer.learning_rate)


def set_learning_rate(optimizer: keras.optimizers.Optimizer, value: float) -> None:
    """Assigns the learning rate; raises a TypeError where it is a schedule."""
    if isinstance(
        getattr(_innermost(optimizer), "_learning_rate", None), keras.optimizers.schedules.LearningRateSchedule
    ):
        raise TypeError("the learning rate is a LearningRateSchedule")
    if hasattr(optimizer.learning_rate, "assign"):
        optimizer.learning_rate.assign(value)
    else:
        optimizer.learning_rate = value


def reset_optimizer_state(model: keras.Model) -> None:
    """Sets the optimizer's state to that of a new one with the same settings; learning rate and loss scale stay.

    Keras 2's legacy optimizers (TensorFlow Addons has some) cannot be built ahead: their state becomes 0.
    """
    # A checkpoint restored before the first step waits for the variables to exist, and would undo the reset.
    build_optimizer(model)
    optimizer = _innermost(model.optimizer)
    if not hasattr(optimizer, "build"):
        for variable in optimizer.variables():
            variable.assign(tf.zeros(variable.shape, variable.dtype))
        return
    fresh = type(optimizer).from_config(optimizer.get_config())
    fresh.build(model.trainable_variables)
    for variable, initial in zip(optimizer.variables, fresh.variables, strict=True):
        if "learning_rate" not in variable.name:
            variable.assign(initial)


def _innermost(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer inside a loss-scaling one."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def build_optimizer(model: keras.Model) -> None:
    """Creates the optimizer's state before the first step: to load weights into it, and to trace the step once only.

    Keras 3 would make it while it traces the step, and trace a step that makes variables a second time.
    """
    if hasattr(model.optimizer, "build") and not getattr(model.optimizer, "built", False):  # Keras 2's legacy ones
        model.optimizer.build(model.trainable_variables)


def tensorflow_variable(variable):
    """TensorFlow's own variable: what a Keras 3 variable wraps, a Keras 2 variable itself."""
    return variable.value if KERAS_3 else variable


# Keras 2 draws unseeded initializers from here once `keras.utils.set_random_seed` was called; Keras 3 has none.
_KERAS_2_GENERATOR: Any = getattr(keras.src.backend, "_SEED_GENERATOR", None)


@contextlib.contextmanager
def seeded_initial_weights(seed: int) -> Iterator[None]:
    """Layers built inside get the same initial weights (and dropout seeds) for the same seed.

    Both generations take the seed of an initializer that has none from Python's `random`. Its state is put back
    afterwards, so that building a model does not change what the caller draws next; NumPy's and TensorFlow's global
    seeds are not touched.

    Args:
      seed: Any integer.
    """
    state = random.getstate()
    keras_2_generator = getattr(_KERAS_2_GENERATOR, "generator", None)
    random.seed(seed)
    if keras_2_generator is not None:
        _KERAS_2_GENERATOR.generator = random.Random(seed)
    try:
        yield
    finally:
        random.setstate(state)
        if keras_2_generator is not None:
            _KERAS_2_GENERATOR.generator = keras_2_generator


def dropout(rate: float, name: str) -> keras.layers.Layer:
    """A Dropout layer whose random state can be set; Keras 2's own default keeps it inside TensorFlow's kernels."""
    return keras.layers.Dropout(rate, name=name, **({} if KERAS_3 else {"force_generator": True}))


def is_random(layer: keras.layers.Layer) -> bool:
    """Whether a layer draws random numbers in training."""
    if KERAS_3:
        return bool(layer._seed_generators)
    return isinstance(layer, keras.src.engine.base_layer.BaseRandomLayer)


def set_random_state(layer: keras.layers.Layer, seed: int) -> None:
    """Sets the state of a random layer's generators, so that what it draws next depends on the seed alone.

    On Keras 2 only layers that own a generator, such as `dropout`'s, have a state that can be set.

    Args:
      layer: Any layer; others are left alone.
      seed: 0..2^31 - 1.
    """
    if KERAS_3:
        for number, generator in enumerate(layer._seed_generators):
            generator.state.assign([seed, number])
    elif is_random(layer) and layer._random_generator._generator is not None:
        layer._random_generator._generator.reset_from_seed(seed)
