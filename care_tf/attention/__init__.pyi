from .activation_maps import (
    ACTIVATION_MAPS,
    get_activation_map,
    gradcam,
    gradcam_plus_plus,
    hirescam,
    layercam,
    xgradcam,
)
from .normalization import normalize_map

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
