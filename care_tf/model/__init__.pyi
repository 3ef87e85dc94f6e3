from .care_model import CAREModel
from .loading import load_model

__all__ = ["CAREModel", "load_model"]
