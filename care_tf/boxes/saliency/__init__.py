"""Saliency maps of single images: DSR and BMS, each step a function."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
