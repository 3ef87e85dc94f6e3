"""CARE: class attention to regions of lesion, for Keras classifiers on imbalanced medical images."""

import lazy_loader

from care_tf.registration import register_with_keras
from care_tf.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register_with_keras()
