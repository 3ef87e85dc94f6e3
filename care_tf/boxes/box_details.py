"""The file beside a manifest that says how its boxes were made; whoever reviews them reads it."""

import os
from pathlib import Path

DETAIL_COLUMNS = ("image", "status", "num_boxes", "doubt", "seconds", "message")


def details_path(manifest_path: str | os.PathLike) -> Path:
    """Where the details of a manifest's boxes are: NAME.details.csv beside NAME.csv."""
    return Path(manifest_path).with_suffix(".details.csv")
