"""The boxes of a manifest into the file of an annotation tool."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from care_tf.box_geometry import tight_box_in_image
from care_tf.boxes.exchange._image_names import common_folder
from care_tf.boxes.formats import get_format, write_annotations
from care_tf.boxes.formats.annotated_image import AnnotatedImage
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError
from care_tf.file_work import for_each_file
from care_tf.images.header import read_image_header
from care_tf.images.pixels import read_mask
from care_tf.shard_place import stored_in


@dataclasses.dataclass(frozen=True)
class ExportSummary:
    """The record of one export.

    Args:
      num_images: Images written.
      num_boxes: Boxes written.
      num_without_box: Images written without a box.
      num_from_masks: Images whose box is the tight rectangle around their mask.
      num_turned: Images with an EXIF rotation: their boxes are in the pixels as displayed.
      lost: What the format cannot hold, "" where nothing is lost.
    """

    num_images: int
    num_boxes: int
    num_without_box: int
    num_from_masks: int
    num_turned: int
    lost: str

    def text(self) -> str:
        """Lines to print."""
        lines = [f"{self.num_images} images with {self.num_boxes} boxes, {self.num_without_box} images without one"]
        if self.num_from_masks:
            lines.append(f"{self.num_from_masks} images have a mask: its tight rectangle was written")
        if self.num_turned:
            lines.append(
                f"warning: {self.num_turned} images have an EXIF rotation; their boxes are in the pixels as displayed, "
                "so open them with a tool that obeys EXIF"
            )
        if self.lost:
            lines.append(f"lost in this format: {self.lost}")
        return "\n".join(lines)


def export_boxes(
    manifest: Manifest,
    path: str | os.PathLike,
    format_name: str,
    *,
    label: str | None = None,
    include_empty: bool = False,
    image_root: str | os.PathLike | None = None,
    overwrite: bool = False,
    **options: Any,
) -> ExportSummary:
    """Writes the boxes of a manifest in the format of an annotation tool, whole or not at all.

    Args:
      manifest: The images; their headers are read. A mask becomes the tight rectangle around it.
      path: The file, or the folder for a format with one file per image.
      format_name: A name of `care_tf.boxes.formats.FORMATS`.
      label: The label of all boxes; None takes the image's class.
      include_empty: Lists images without a box too. Most tools take a listed image without boxes as one that was
        looked at and has none.
      image_root: Folder that the names are relative to; None takes the deepest one that holds all images.
      overwrite: Replaces what is at `path`. A folder that holds anything but files of this format is never replaced,
        and neither is the manifest or one of its images or masks.
      **options: The format's own.

    Returns:
      What was written.

    Raises:
      InputError: Something is at `path` already, the format cannot hold the boxes, no image has a box, an image or a
        mask is missing, or an image is not below `image_root`.
    """
    entry = get_format(format_name)
    _check_target(Path(path), entry.folder_files, overwrite)
    if "class_file" in options:
        _check_target(Path(options["class_file"]), (), overwrite)
    _check_sources(manifest, [path, options.get("class_file")])
    rows = _chosen_rows(manifest, include_empty)
    annotated = _annotated_rows(manifest, rows, label, image_root)
    images = [image for image, _ in annotated]
    write_annotations(images, path, format_name, **options)
    return ExportSummary(
        num_images=len(images),
        num_boxes=sum(len(image.boxes) for image in images),
        num_without_box=sum(len(image.boxes) == 0 for image in images),
        num_from_masks=sum(manifest.mask_paths[row] != "" for row in rows),
        num_turned=sum(orientation != 1 for _, orientation in annotated),
        lost=entry.lost,
    )


def _chosen_rows(manifest: Manifest, include_empty: bool) -> list[int]:
    rows = list(range(len(manifest))) if include_empty else np.flatnonzero(manifest.has_boxes).tolist()
    if not rows:
        raise InputError(f"No image of the manifest {manifest.source} has a box to export.")
    return rows


def _annotated_rows(
    manifest: Manifest, rows: list[int], label: str | None, image_root: str | os.PathLike | None
) -> list[tuple[AnnotatedImage, int]]:
    """The images and their EXIF orientations."""
    root = os.path.abspath(image_root) if image_root else common_folder(manifest.image_paths)
    return for_each_file(lambda row: _annotated(manifest, row, root, label), rows, where=manifest.source)


def _annotated(manifest: Manifest, row: int, root: str, label: str | None) -> tuple[AnnotatedImage, int]:
    path = manifest.image_paths[row]
    name = Path(os.path.relpath(path, root)).as_posix() if root else Path(path).name
    if name.startswith("../"):
        raise InputError(f"Image {path} is not below {root}, so it has no name there; give a folder of all images.")
    header = read_image_header(path)
    class_name = manifest.class_names[manifest.labels[row]]
    boxes = manifest.boxes[row]
    if manifest.mask_paths[row]:
        boxes = tight_box_in_image(read_mask(manifest.mask_paths[row]), header.width, header.height)
    labels = (class_name if label is None else label,) * len(boxes)
    size = header.width, header.height
    return AnnotatedImage(name, boxes, labels, *size, where=path, image_class=class_name), header.orientation


def _check_sources(manifest: Manifest, outputs: Sequence[str | os.PathLike | None]) -> None:
    """An output must not replace the manifest or a file that it names."""
    sources = [stored_in(path) for path in (manifest.source, *manifest.image_paths, *manifest.mask_paths) if path]
    folders = {os.path.realpath(os.path.dirname(path)) for path in sources}
    for output in (os.path.realpath(path) for path in outputs if path is not None):
        lost = next((path for path in sources if os.path.realpath(path) == output), None)
        if lost is None and os.path.isdir(output):
            lost = next((folder for folder in folders if os.path.commonpath([folder, output]) == output), None)
        if lost is not None:
            raise InputError(f"{output} is, or holds, what the manifest is made of ({lost}); choose another output.")


def _check_target(path: Path, folder_files: tuple[str, ...], overwrite: bool) -> None:
    """Nothing that somebody else made is lost."""
    if not os.path.lexists(path):
        return
    if folder_files and path.is_dir() and not any(path.iterdir()):
        return
    if not overwrite:
        raise InputError(f"{path} exists already; choose another output, or say that it may be overwritten.")
    if bool(folder_files) != path.is_dir():
        kinds = ("a folder", "a file") if path.is_dir() else ("a file", "a folder")
        raise InputError(f"{path} is {kinds[0]}, and this format writes {kinds[1]}; choose another output.")
    foreign = [file for file in path.rglob("*") if not file.is_dir() and not file.name.lower().endswith(folder_files)]
    if folder_files and foreign:
        raise InputError(f"{path} holds files of another kind ({foreign[0].name}, ...); choose another folder.")
