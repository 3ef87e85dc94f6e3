from .manifest_boxes import MadeBoxes, make_boxes
from .methods import box_settings_of, get_method
from .one_image import BoxSettings
from .workers import Workers

__all__ = ["BoxSettings", "MadeBoxes", "Workers", "box_settings_of", "get_method", "make_boxes"]
