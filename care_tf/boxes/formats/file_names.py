"""Image names as annotation files write them, and the files of formats with one file per image."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from care_tf.boxes.formats.annotated_image import AnnotatedImage
from care_tf.errors import InputError
from care_tf.file_work import for_each_file
from care_tf.files import atomic_path

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".dcm", ".dicom")
_DRIVE = re.compile(r"[A-Za-z]:(?=/)")


def name_parts(name: str) -> tuple[str, ...]:
    """The folders and the file of a path of any system, "." and ".." resolved as far as they can be.

    Example:
      >>> name_parts("..\\\\images\\\\train\\\\a.jpg"), name_parts("C:/x/./a.jpg")
      (('images', 'train', 'a.jpg'), ('x', 'a.jpg'))
    """
    parts: list[str] = []
    for part in _DRIVE.sub("", name.strip().replace("\\", "/"), count=1).split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)


def without_suffix(name: str) -> str:
    """The name without the suffix of an image; another one is part of the name, as in the DICOM identifier 1.2.840."""
    suffix = PurePosixPath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in IMAGE_SUFFIXES else name


def files_per_image(images: Iterable[AnnotatedImage], suffix: str) -> list[tuple[AnnotatedImage, PurePosixPath]]:
    """The relative path of every image's own annotation file: its folders, and its name with another suffix.

    Raises:
      InputError: Two images would share a file, or a name is no name of a file.
    """
    owners: dict[str, str] = {}
    result = []
    for image in images:
        parts = name_parts(image.name)
        if not parts or "\0" in image.name:
            raise InputError(f"Image name {image.name!r} cannot become the name of a file.")
        path = PurePosixPath(*parts[:-1], without_suffix(parts[-1]) + suffix)
        owner = owners.setdefault(str(path).casefold(), image.name)
        if owner != image.name:
            raise InputError(f"{owner} and {image.name} would share the file {path}; rename one of them.")
        result.append((image, path))
    if len(owners) != len(result):
        raise InputError("An image is listed twice; list every image once.")
    return result


def files_with_suffix(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """All files below a folder whose name ends so, in either case, sorted; hidden files and folders are left out."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.")
    found = (path for path in folder.rglob("*") if path.name.lower().endswith(suffixes) and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def read_files(
    path: str | os.PathLike, suffix: str, made_by: str, read: Callable[[Path, str], AnnotatedImage]
) -> list[AnnotatedImage]:
    """`read(file, folder)` of a file itself, or of all with a suffix below a folder.

    Args:
      path: A file or a folder.
      suffix: What the files' names end in.
      made_by: Says which folder to give, for the message that it has none.
      read: Takes a file and its subfolder, "" for the folder itself.

    Raises:
      InputError: The folder has no such file, or `read` raised some: up to 20 are listed.
    """
    path = Path(path)
    if not path.is_dir():
        return [read(path, "")]
    files = files_with_suffix(path, (suffix,))
    if not files:
        raise InputError(f"{path} holds no {suffix[1:].upper()} files; give the folder that {made_by}.")
    return for_each_file(lambda file: read(file, "/".join(file.parent.relative_to(path).parts)), files, where=str(path))


def write_per_image(
    images: Sequence[AnnotatedImage],
    path: str | os.PathLike,
    suffix: str,
    write: Callable[[AnnotatedImage, Path], None],
) -> None:
    """Writes a folder with one file per image, in the images' subfolders; whole or not at all.

    Raises:
      InputError: As in `files_per_image`, or of `write`.
    """
    files = files_per_image(images, suffix)
    with atomic_path(path) as folder:
        folder.mkdir()
        for image, name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write(image, folder / name)
