from ._from_map import boxes_from_map
from ._map_doubt import box_doubt
from .exchange import manifest_from_folders
from .saliency import bms_saliency, dark_frame, dsr_saliency

__all__ = ["bms_saliency", "box_doubt", "boxes_from_map", "dark_frame", "dsr_saliency", "manifest_from_folders"]
