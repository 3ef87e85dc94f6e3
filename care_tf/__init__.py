"""CARE: class attention to regions of lesion, for Keras classifiers on imbalanced medical images."""

from care_tf import attention, backbones, boxes, callbacks, data, losses, metrics
from care_tf.training import CAREModel

__version__ = "0.1.0"

__all__ = ["CAREModel", "attention", "backbones", "boxes", "callbacks", "data", "losses", "metrics"]
