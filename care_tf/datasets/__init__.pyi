from .isic2018 import read_isic2018
from .synthetic_lesions import SyntheticLesions

__all__ = ["SyntheticLesions", "read_isic2018"]
