"""Which images are meant by words: files, folders, patterns, lists of paths, manifests without labels."""

import collections
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from care_tf.csv_files import composed, path_finder, table_rows
from care_tf.errors import InputError
from care_tf.problems import raise_problems
from care_tf.progress_journal import journal_path
from care_tf.serving._image_files import is_image_file
from care_tf.serving._predictor import ImageFile
from care_tf.shard_place import find_place
from care_tf.text_files import read_text

PREDICTIONS = "predictions.csv"


class FoundImages(NamedTuple):
    """Images, each once, by absolute path; and how many other files lay among them, by suffix."""

    images: list[ImageFile]
    left_out: collections.Counter[str]


def find_images(words: Sequence[str | os.PathLike], columns: Sequence[str] = ()) -> FoundImages:
    """Lists images.

    A folder stands for the images in it and in the folders below, by name, without hidden ones and without folders of
    predictions; a word with *, ? or [...] for what it matches; a .txt file for the paths in it, a line each; a .csv
    file for its column `image`; in both, paths are relative to the file. Every other file is an image, whatever its
    name.

    Args:
      words: The words.
      columns: Further columns that a .csv file must have, whose cells go with its images.

    Raises:
      InputError: A word means nothing, a list cannot be read, no image is found, or one is listed twice with different
        cells.
    """
    left_out: collections.Counter[str] = collections.Counter()
    found: dict[str, ImageFile] = {}
    problems = []
    for word in words:
        for image in _meant_by(os.fspath(word), columns, left_out):
            if found.setdefault(image.path, image).cells != image.cells:
                problems.append(f"{image.path} is given twice, and not with the same {', '.join(columns)}")
    raise_problems("The list of images", problems)
    if not found:
        raise InputError(
            f"There must be at least one PNG, JPEG, TIFF or DICOM file. Received none in {', '.join(map(str, words))}."
        )
    return FoundImages(list(found.values()), left_out)


def _meant_by(word: str, columns: Sequence[str], left_out: collections.Counter[str]) -> Iterator[ImageFile]:
    path = Path(word)
    if path.is_dir():
        yield from map(ImageFile, _images_among(_files_below(path), left_out))
    elif path.exists() or find_place(word):
        yield from _listed_in(path, columns)
    elif glob.has_magic(word):
        matches = sorted(glob.glob(word, recursive=True))
        below = [file for match in matches if os.path.isdir(match) for file in _files_below(Path(match))]
        files = [os.path.abspath(match) for match in matches if not os.path.isdir(match)]
        yield from map(ImageFile, _images_among([*files, *below], left_out))
    else:
        raise InputError(f"Images must be files or folders that exist. Received {word}, which does not.")


def _listed_in(path: Path, columns: Sequence[str]) -> Iterator[ImageFile]:
    """The images that a file lists, or the file itself."""
    find = path_finder(path.absolute().parent)
    if path.suffix.lower() == ".txt":
        lines = map(str.strip, read_text(path).splitlines())
        yield from (ImageFile(find(line)) for line in lines if line)
    elif path.suffix.lower() == ".csv":
        rows = table_rows(path, ("image", *columns))
        raise_problems(str(path), [f"line {line}: the image is empty" for line, row in rows if not row["image"]])
        for _, row in rows:
            cells = {name: composed(row[name]) for name in columns}
            yield ImageFile(find(row["image"]), cells)
    else:
        yield ImageFile(os.path.abspath(path))


def _files_below(folder: Path) -> Iterator[str]:
    """Absolute paths, sorted within each folder; a folder that is linked to several times is read once."""
    seen = set()
    for root, folders, names in os.walk(os.path.abspath(folder), followlinks=True):
        is_new = os.path.realpath(root) not in seen
        seen.add(os.path.realpath(root))
        if not is_new or journal_path(Path(root, PREDICTIONS)).exists():
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(root, name) for name in sorted(names) if not name.startswith("."))


def _images_among(files: Iterator[str] | Sequence[str], left_out: collections.Counter[str]) -> Iterator[str]:
    for file in files:
        if is_image_file(file):
            yield file
        else:
            left_out[Path(file).suffix or "no suffix"] += 1
