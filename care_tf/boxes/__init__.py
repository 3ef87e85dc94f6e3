"""Lesion boxes without annotators, from saliency, and from the files of annotation tools."""

from care_tf.boxes.bms import bms_saliency
from care_tf.boxes.doubt import box_doubt
from care_tf.boxes.dsr import dsr_saliency
from care_tf.boxes.frame import dark_frame
from care_tf.boxes.from_map import boxes_from_map

__all__ = ["bms_saliency", "box_doubt", "boxes_from_map", "dark_frame", "dsr_saliency"]
