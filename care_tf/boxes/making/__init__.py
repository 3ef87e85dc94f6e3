"""Boxes for a whole manifest, made by a saliency method or a segmentation network, on every core or a cluster."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
