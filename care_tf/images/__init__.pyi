from .header import ImageHeader, read_image_header
from .pixels import read_image, read_mask

__all__ = ["ImageHeader", "read_image", "read_image_header", "read_mask"]
