"""CARE: class attention to regions of lesion, for Keras classifiers on imbalanced medical images."""

from care_tf import attention, backbones, boxes, callbacks, data, losses, metrics
from care_tf.model import CAREModel
from care_tf.version import __version__

__all__ = ["CAREModel", "__version__", "attention", "backbones", "boxes", "callbacks", "data", "losses", "metrics"]
