from ._normalization import normalize_map
from .activation_maps import (
    ACTIVATION_MAPS,
    get_activation_map,
    gradcam,
    gradcam_plus_plus,
    hirescam,
    layercam,
    xgradcam,
)

__all__ = [
    "ACTIVATION_MAPS",
    "get_activation_map",
    "gradcam",
    "gradcam_plus_plus",
    "hirescam",
    "layercam",
    "normalize_map",
    "xgradcam",
]
