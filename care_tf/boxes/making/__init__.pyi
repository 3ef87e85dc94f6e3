from .manifest_boxes import MadeBoxes, make_boxes
from .methods import box_settings_of, get_method
from .one_image import BoxSettings

__all__ = ["BoxSettings", "MadeBoxes", "box_settings_of", "get_method", "make_boxes"]
