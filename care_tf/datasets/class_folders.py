"""A folder for every class, perhaps within one for every split: how most image sets lie on a disk."""

import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from care_tf.csv_files import composed
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError
from care_tf.file_work import for_each_file
from care_tf.images.header import read_image_header
from care_tf.problems import raise_problems

# What a folder of a split may be called, in any case -> what the manifest calls it.
SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"} | dict.fromkeys(
    ("val", "valid", "validation"), "validation"
)
_IMAGES = (".jpg", ".jpeg", ".png")
_OTHER_IMAGES = (".bmp", ".dcm", ".dicom", ".gif", ".heic", ".jp2", ".tif", ".tiff", ".webp")


def read_class_folders(root: str | os.PathLike, group_pattern: str | None = None) -> Manifest:
    """Reads class and split of every image from the folders that it lies in.

    `ROOT/CLASS/**/IMAGE` or `ROOT/SPLIT/CLASS/**/IMAGE`, with splits called train, val (valid, validation) and test.
    JPEG and PNG files are images; other image formats are refused, files of other kinds and hidden ones are not looked
    at, nor are masks told from images: keep them elsewhere.

    Args:
      root: The folder of the class or split folders.
      group_pattern: Regular expression that finds the patient or lesion in an image's path below `root`, as its first
        group in parentheses, or as a whole; None: every image is one of its own.

    Returns:
      The images, sorted by path. The classes are those of all splits, sorted.

    Raises:
      InputError: There are fewer than two classes, folders of classes beside those of splits, images without a class,
        image files that cannot be read, or images without a group: up to 20 are listed.
    """
    root = Path(root).absolute()
    if not root.is_dir():
        raise InputError(f"A folder of class folders must be there. Received {root}, which is none.")
    paths, names, splits = [], [], []
    split_folders = _split_folders(root)
    for split, folder in split_folders:
        for class_folder in _folders_in(folder):
            found = list(_files_below(class_folder))
            if not found:
                warnings.warn(f"{class_folder} holds no image, and is not a class", UserWarning, stacklevel=2)
            paths += found
            names += [composed(class_folder.name)] * len(found)
            splits += [split] * len(found)
    class_names = sorted(set(names))
    if len(class_names) < 2:
        raise InputError(
            f"{root} must hold a folder of images for each class, at least two, or folders called train, val and test "
            f"that do. Received {', '.join(class_names) or 'no images in folders'}. Give the folder right above those "
            "of the classes."
        )
    loose = [path for folder in {root, *(each for _, each in split_folders)} for path in folder.iterdir()]
    loose = sorted(path.relative_to(root) for path in loose if _is_image(path))
    raise_problems(str(root), [f"{path} lies beside the class folders, without a class" for path in loose])
    for_each_file(read_image_header, paths, where=str(root))
    return Manifest(
        image_paths=tuple(map(str, paths)),
        labels=np.array([class_names.index(name) for name in names], np.int32),
        class_names=tuple(class_names),
        groups=() if group_pattern is None else _groups(root, paths, group_pattern),
        splits=tuple(splits),
        source=str(root),
    )


def _split_folders(root: Path) -> list[tuple[str, Path]]:
    """(split, folder of class folders); ("", root) where there are no splits."""
    folders = [folder for folder in _folders_in(root) if any(_files_below(folder))]
    of_splits = [folder for folder in folders if folder.name.lower() in SPLITS]
    if of_splits and len(of_splits) < len(folders):
        others = [folder.name for folder in folders if folder not in of_splits]
        raise InputError(
            f"{root} must hold folders of classes, or of splits. Received {', '.join(each.name for each in of_splits)} "
            f"beside {', '.join(others)}. Move one kind elsewhere, or rename a class."
        )
    return [(SPLITS[folder.name.lower()], folder) for folder in of_splits] or [("", root)]


def _folders_in(folder: Path) -> list[Path]:
    hidden = (".", "__MACOSX")
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(hidden)]


def _files_below(folder: Path) -> Iterator[Path]:
    """The image files in a folder and those below it, sorted folder by folder."""
    yield from (path for path in sorted(folder.iterdir()) if _is_image(path))
    for below in _folders_in(folder):
        yield from _files_below(below)


def _is_image(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in _OTHER_IMAGES:
        raise InputError(f"Images must be JPEG or PNG files. Received {path}. Convert it, or move it elsewhere.")
    return suffix in _IMAGES and not path.name.startswith(".") and path.is_file()


def _groups(root: Path, paths: list[Path], pattern: str) -> tuple[str, ...]:
    try:
        finder = re.compile(pattern)
    except re.error as error:
        raise InputError(f"The group pattern must be a regular expression. Received {pattern!r}: {error}.") from error
    below = [path.relative_to(root).as_posix() for path in paths]
    found = [finder.search(path) for path in below]
    missing = [f"{pattern!r} finds no group in {path}" for path, match in zip(below, found, strict=True) if not match]
    raise_problems(str(root), missing)
    return tuple(composed(match[1] if finder.groups else match[0]) for match in found if match)
