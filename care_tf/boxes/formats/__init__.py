"""Annotation files of other tools: read to `AnnotatedImage`s and written from them, one format per file."""

from care_tf.boxes.formats.annotated_image import AnnotatedImage
from care_tf.boxes.formats.detection import detect_format
from care_tf.boxes.formats.known_formats import FORMATS, get_format, read_annotations, write_annotations

__all__ = ["FORMATS", "AnnotatedImage", "detect_format", "get_format", "read_annotations", "write_annotations"]
