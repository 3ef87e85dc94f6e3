"""Which images of a manifest get boxes, and what a worker must know of each."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from care_tf.boxes.making.one_image import ImageTask
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError


def chosen_rows(
    manifest: Manifest,
    classes: Sequence[str],
    split: str | None,
    folds: Iterable[str | int] | None,
    existing: Literal["replace", "keep"],
) -> list[int]:
    """Rows whose images get boxes; arguments as for `make_boxes`.

    Raises:
      InputError: An unknown class, split, fold or value of `existing`, or no image is in all of them.
    """
    if existing not in ("replace", "keep"):
        raise InputError(f'existing must be "replace" or "keep". Received {existing!r}.')
    unknown = [name for name in classes if name not in manifest.class_names]
    if unknown or not classes or isinstance(classes, str):
        received = repr(classes) if isinstance(classes, str) or not classes else ", ".join(unknown)
        raise InputError(f"classes must be some of {', '.join(manifest.class_names)}. Received {received}.")
    in_classes = np.isin(manifest.labels, [manifest.class_names.index(name) for name in classes])
    paths = set(manifest.select(split, folds).image_paths)  # no path occurs twice in a manifest
    chosen = in_classes & np.array([path in paths for path in manifest.image_paths], bool)
    if not chosen.any():
        raise InputError(
            f"no image of {', '.join(classes)} is in split {split} and folds {folds} of {manifest.source}."
        )
    return np.flatnonzero(chosen & ~manifest.has_boxes if existing == "keep" else chosen).tolist()


def image_tasks(manifest: Manifest, rows: Iterable[int], maps_folder: str | os.PathLike | None) -> list[ImageTask]:
    """One task per row. Maps go to IMAGE.png below `maps_folder`, in the images' own folders."""
    # Below the folder that all images share: the same place for an image whichever of them are chosen.
    shared = os.path.commonpath([os.path.dirname(path) for path in manifest.image_paths])
    tasks = []
    for row in rows:
        path = manifest.image_paths[row]
        map_path = "" if maps_folder is None else f"{Path(maps_folder).absolute() / os.path.relpath(path, shared)}.png"
        tasks.append(ImageTask(row, path, manifest.groups[row], map_path))
    return tasks
