from ._deeplab import build_segmentation_network
from .cross_fitting import CrossFittedSegmentation
from .prediction import lesion_probability, load_segmentation_model
from .segmentation_training import SegmentationSettings, train_segmentation

__all__ = [
    "CrossFittedSegmentation",
    "SegmentationSettings",
    "build_segmentation_network",
    "lesion_probability",
    "load_segmentation_model",
    "train_segmentation",
]
