"""Callbacks and metrics of a user's own, named in a configuration."""

from collections.abc import Mapping
from typing import Any

import keras

from care_tf.errors import InputError
from care_tf.named_function import is_own, made_by
from care_tf.runs.config import RunConfig
from care_tf.settings import Setting, setting_arguments, setting_name

CALLBACK_ARGUMENTS = ("folder", "stage", "first_epoch")
"""What a callback's function is offered: the run folder, the stage's name, and the epochs of all stages before it."""


def check_own_pieces(config: RunConfig) -> None:
    """Imports every function of a user's own that a configuration names, before anything costs time.

    Raises:
      InputError: A name has another form, cannot be imported, or does not take the arguments beside it.
    """
    for setting in config.training.callbacks:
        _made_by(setting, "callback", dict.fromkeys(CALLBACK_ARGUMENTS))
    for setting in config.training.metrics:
        _made_by(setting, "metric", {"class_names": None})
    for stage in config.stages:
        if is_own(setting_name(stage.loss)):
            offered = dict.fromkeys(("class_counts", "class_weights", "from_logits"))
            made_by(setting_name(stage.loss), "classification loss", setting_arguments(stage.loss), offered)


def own_callbacks(config: RunConfig, offered: Mapping[str, Any]) -> list[keras.callbacks.Callback]:
    """New callbacks for a stage, made with `CALLBACK_ARGUMENTS`.

    Raises:
      InputError: A function makes something else.
    """
    return [_made(setting, "callback", offered, keras.callbacks.Callback) for setting in config.training.callbacks]


def own_metrics(config: RunConfig, class_names: tuple[str, ...]) -> list[keras.metrics.Metric]:
    """New metrics for a stage, made with `class_names` where a function takes them.

    Raises:
      InputError: A function makes something else.
    """
    offered = {"class_names": class_names}
    return [_made(setting, "metric", offered, keras.metrics.Metric) for setting in config.training.metrics]


def _made(setting: Setting, what: str, offered: Mapping[str, Any], kind: type) -> Any:
    piece = _made_by(setting, what, offered)()
    if not isinstance(piece, kind):
        raise InputError(
            f"The {what} {setting_name(setting)} must make a {kind.__module__.split('.')[0]} {kind.__name__}. Received "
            f"{type(piece).__name__}. Name a class, or a function that returns an instance."
        )
    return piece


def _made_by(setting: Setting, what: str, offered: Mapping[str, Any]) -> Any:
    name = setting_name(setting)
    if not is_own(name):
        raise InputError(
            f"A {what} must be named as module:function, alone or as the name beside its arguments. Received "
            f"{setting!r}. Write, for example, keras.callbacks:TerminateOnNaN."
        )
    return made_by(name, what, setting_arguments(setting), offered)[0]
