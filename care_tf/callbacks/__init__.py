"""Callbacks for `fit`: the two-stage schedule, TensorBoard, deferred re-weighting, the guard against a NaN loss."""

import lazy_loader

from care_tf.registration import register_all

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register_all()
