"""When two files show the same image, and the check against a network's training images that rests on it."""

import dataclasses
import functools
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from care_tf.data.manifest import Manifest
from care_tf.errors import InputError
from care_tf.file_in_memory import file_size
from care_tf.files import file_sha256

# The archive gives each image one name for good, whatever set it is published in and however it is compressed.
_ARCHIVE_NAME = re.compile(r"ISIC_\d{7}", re.IGNORECASE)


def image_identities(path: str, group: str = "") -> frozenset[str]:
    """What an image is known by; two images may show the same lesion when they share any of these.

    The content of the file, the group (patient or lesion) where there is one, and the archive's name where the file
    holds one (ISIC_0024306.jpg, small_isic_0024306.png). Other file names and folders do not count: sets name their
    images alike.

    Args:
      path: The image file.
      group: Its patient or lesion; "" where unknown.

    Returns:
      Texts such as "sha256:9f86d0...", "group:HAM_0001466" and "isic:ISIC_0024306".

    Raises:
      InputError: The file cannot be read.
    """
    return _names(path, group) | {f"sha256:{file_sha256(path)}"}


def _names(path: str, group: str) -> frozenset[str]:
    """The identities for which no file is read."""
    names = set()
    if group:
        names.add(f"group:{group}")
    archive_name = _ARCHIVE_NAME.search(Path(path).name)
    if archive_name:
        names.add(f"isic:{archive_name.group().upper()}")
    return frozenset(names)


class Overlap(NamedTuple):
    """Of each of some images, whether others are known by the same identity.

    Attributes:
      images: bool (n,), the image itself or a copy of it is among the others.
      groups: bool (n,), an image of its group is.
    """

    images: np.ndarray
    groups: np.ndarray


def overlap(rows: Manifest, others: Manifest) -> Overlap:
    """Which images of `rows` are in `others`, by `image_identities`; of the files, only those of one size are read.

    Raises:
      InputError: A file cannot be read.
    """
    known = frozenset().union(*map(_names, others.image_paths, others.groups))
    known_paths = frozenset(others.image_paths)
    of_size: dict[int, list[str]] = {}
    for path in others.image_paths:
        of_size.setdefault(_size(path), []).append(path)
    content = functools.cache(file_sha256)

    @functools.cache
    def contents_of_size(size: int) -> frozenset[str]:
        return frozenset(map(content, of_size[size]))

    images, groups = [], []
    for path, group in zip(rows.image_paths, rows.groups, strict=True):
        shared = _names(path, group) & known
        size = _size(path)
        is_copy = path in known_paths or (size in of_size and content(path) in contents_of_size(size))
        images.append(is_copy or any(name.startswith("isic:") for name in shared))
        groups.append(f"group:{group}" in shared)
    return Overlap(np.array(images, bool), np.array(groups, bool))


def _size(path: str) -> int:
    try:
        return file_size(path)
    except OSError as error:
        raise InputError(f"The image {path} cannot be read: {error.strerror}.") from error


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingImages:
    """What a network was trained on, small enough to send to every worker.

    Attributes:
      numbers: uint64 (n,), sorted: 64 bits of each identity, a tenth of the text.
    """

    numbers: np.ndarray

    @classmethod
    def of(cls, *manifests: Manifest) -> "TrainingImages":
        """The images of some manifests; an `InputError` where one of them cannot be read."""
        identities: set[str] = set()
        for manifest in manifests:
            for image_path, group in zip(manifest.image_paths, manifest.groups, strict=True):
                identities |= image_identities(image_path, group)
        return cls(np.unique(_numbers(identities)))

    @property
    def sha256(self) -> str:
        """Changes when they do."""
        return hashlib.sha256(self.numbers.tobytes()).hexdigest()

    def refuse(self, image_path: str, group: str) -> None:
        """Raises an `InputError` when the network was trained on the image, its group, or a copy of it."""
        if len(self.numbers) and np.isin(_numbers(image_identities(image_path, group)), self.numbers).any():
            raise InputError(
                f"The model was trained on {Path(image_path).name}, its group {group!r} or a copy of it: leave such "
                "images out, or take a model that did not see them."
            )


def _numbers(identities: Iterable[str]) -> np.ndarray:
    digests = [hashlib.sha256(identity.encode()).digest()[:8] for identity in identities]
    return np.frombuffer(b"".join(digests), np.uint64)
