"""Data sets in which a cue beside the lesson goes with the class in training, and not in the tests."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
