from .from_map import boxes_from_map
from .map_doubt import box_doubt
from .saliency.bms import bms_saliency
from .saliency.dsr import dsr_saliency
from .saliency.frame import dark_frame

__all__ = ["bms_saliency", "box_doubt", "boxes_from_map", "dark_frame", "dsr_saliency"]
