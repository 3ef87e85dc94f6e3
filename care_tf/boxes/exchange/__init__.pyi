from .exporting import export_boxes
from .folders import manifest_from_folders
from .importing import import_boxes

__all__ = ["export_boxes", "import_boxes", "manifest_from_folders"]
