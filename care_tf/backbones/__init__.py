"""Networks by name, each with its preprocessing and the layer its attention maps are made from."""

from care_tf.backbones.backbone import Backbone
from care_tf.backbones.classifier import build_classifier
from care_tf.backbones.named_backbones import backbone_names, get_backbone

__all__ = ["Backbone", "backbone_names", "build_classifier", "get_backbone"]
