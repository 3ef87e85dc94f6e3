from ._loading import load_model
from .care_model import CAREModel

__all__ = ["CAREModel", "load_model"]
