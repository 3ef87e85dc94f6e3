from .bms import bms_saliency
from .dsr import dsr_saliency
from .frame import dark_frame

__all__ = ["bms_saliency", "dark_frame", "dsr_saliency"]
