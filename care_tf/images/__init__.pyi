from .header import ImageHeader, read_image_header
from .pixels import read_image, read_mask
from .rasterizing import rasterize_boxes

__all__ = ["ImageHeader", "rasterize_boxes", "read_image", "read_image_header", "read_mask"]
