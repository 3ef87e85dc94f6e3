"""From a trained model to a file that needs TensorFlow and nothing else; from either to predictions of image files."""

import lazy_loader

from care_tf.registration import register_all

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register_all()
