from .care_model import CAREModel, load_model
from .mask_head import MaskHead

__all__ = ["CAREModel", "MaskHead", "load_model"]
