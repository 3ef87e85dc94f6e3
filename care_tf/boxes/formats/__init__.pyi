from .annotated_image import AnnotatedImage
from .detection import detect_format
from .known_formats import FORMATS, get_format, read_annotations, write_annotations

__all__ = ["FORMATS", "AnnotatedImage", "detect_format", "get_format", "read_annotations", "write_annotations"]
