"""Reading and cutting a classifier that somebody else built: its layers, its last Dense layer, freezing, caching."""

import lazy_loader

from care_tf.registration import register_all

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register_all()
