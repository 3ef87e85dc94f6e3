from ._backbone import Backbone
from ._classifier import build_classifier, classifier_and_weights
from ._initial_weights import InitialWeights
from ._named_backbones import backbone_names, get_backbone

__all__ = [
    "Backbone",
    "InitialWeights",
    "backbone_names",
    "build_classifier",
    "classifier_and_weights",
    "get_backbone",
]
