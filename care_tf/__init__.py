"""CARE: class attention to regions of lesion, for Keras classifiers on imbalanced medical images."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from care_tf import attention, backbones, callbacks, data, losses, metrics
    from care_tf.training import CAREModel

__version__ = "0.1.0"

__all__ = ["CAREModel", "attention", "backbones", "callbacks", "data", "losses", "metrics"]


def __getattr__(name: str) -> Any:
    # Imported on first use: a tool answers --help without waiting seconds for TensorFlow.
    if name == "CAREModel":
        return importlib.import_module("care_tf.training").CAREModel
    if name in __all__:
        return importlib.import_module(f"care_tf.{name}")
    raise AttributeError(f"module 'care_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
