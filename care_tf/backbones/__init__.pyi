from ._backbone import Backbone
from ._classifier import build_classifier
from ._named_backbones import backbone_names, get_backbone

__all__ = ["Backbone", "backbone_names", "build_classifier", "get_backbone"]
