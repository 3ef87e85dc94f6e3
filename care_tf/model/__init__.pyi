from ._mask_head import MaskHead
from .care_model import CAREModel, load_model

__all__ = ["CAREModel", "MaskHead", "load_model"]
