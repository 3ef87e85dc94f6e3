from ._bms import bms_saliency
from ._dsr import dsr_saliency
from ._frame import dark_frame

__all__ = ["bms_saliency", "dark_frame", "dsr_saliency"]
