from .backbone import Backbone
from .classifier import build_classifier
from .named_backbones import backbone_names, get_backbone

__all__ = ["Backbone", "backbone_names", "build_classifier", "get_backbone"]
