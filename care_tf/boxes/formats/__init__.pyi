from ._known_formats import FORMATS, detect_format, get_format, read_annotations, write_annotations
from .annotated_image import AnnotatedImage

__all__ = ["FORMATS", "AnnotatedImage", "detect_format", "get_format", "read_annotations", "write_annotations"]
