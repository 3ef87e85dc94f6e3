"""Lesion boxes without annotators, from saliency, and from the files of annotation tools."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
