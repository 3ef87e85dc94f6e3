"""Lesion segmentation, cross-fitted so that no image is segmented by a network that saw its mask."""

from care_tf.boxes.segmentation.cross_fitting import CrossFittedSegmentation
from care_tf.boxes.segmentation.deeplab import build_segmentation_network
from care_tf.boxes.segmentation.prediction import lesion_probability, load_segmentation_model
from care_tf.boxes.segmentation.segmentation_training import SegmentationSettings, train_segmentation

__all__ = [
    "CrossFittedSegmentation",
    "SegmentationSettings",
    "build_segmentation_network",
    "lesion_probability",
    "load_segmentation_model",
    "train_segmentation",
]
