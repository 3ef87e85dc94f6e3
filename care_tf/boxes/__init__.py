"""Lesion boxes without annotators, from saliency, and from the files of annotation tools."""

from care_tf.boxes.from_map import boxes_from_map
from care_tf.boxes.map_doubt import box_doubt
from care_tf.boxes.saliency.bms import bms_saliency
from care_tf.boxes.saliency.dsr import dsr_saliency
from care_tf.boxes.saliency.frame import dark_frame

__all__ = ["bms_saliency", "box_doubt", "boxes_from_map", "dark_frame", "dsr_saliency"]
