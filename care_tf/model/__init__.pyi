from .care_model import CAREModel, load_model

__all__ = ["CAREModel", "load_model"]
