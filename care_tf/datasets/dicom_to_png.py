"""Many DICOM files to PNG images: in parallel, resumable, one bad file does not stop the rest."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from care_tf.datasets.dicom import DicomHeader, read_dicom, read_dicom_header
from care_tf.errors import InputError
from care_tf.extras import require_extra
from care_tf.file_work import map_files
from care_tf.files import atomic_path
from care_tf.images.header import read_image_header

require_extra(__name__, "dicom", "cv2", "pydicom")


class ConvertedDicom(NamedTuple):
    """What a DICOM file said, and the size of the PNG made from it, px."""

    header: DicomHeader
    width: int
    height: int


def convert_dicoms(
    dicom_paths: Sequence[str | os.PathLike],
    png_paths: Sequence[str | os.PathLike],
    *,
    max_side_px: int | None = None,
    num_threads: int | None = None,
) -> list[ConvertedDicom | InputError]:
    """Converts files on all cores, with a progress bar that shows the time left.

    Threads, not processes: decoding, resizing and PNG compression release Python's lock. pydicom's warnings about
    oddities that it could read past are left out: they may quote a patient's data.

    Args:
      dicom_paths: n files.
      png_paths: n files to write, each as in `convert_dicom`.
      max_side_px: Longest side of the PNG; None keeps the size.
      num_threads: None takes one per core.

    Returns:
      n results in order; an `InputError` for a file that could not be converted.

    Raises:
      InputError: `max_side_px` is less than 1.
    """
    if max_side_px is not None and max_side_px < 1:
        raise InputError(f"The longest side must be at least 1 px. Received {max_side_px}.")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pydicom(\..*)?")
        return map_files(
            lambda paths: convert_dicom(*paths, max_side_px=max_side_px),
            list(zip(dicom_paths, png_paths, strict=True)),
            progress="converting",
            unit="image",
            num_threads=num_threads or os.cpu_count() or 1,
        )


def convert_dicom(
    dicom_path: str | os.PathLike, png_path: str | os.PathLike, *, max_side_px: int | None = None
) -> ConvertedDicom:
    """Writes one DICOM file as an 8-bit grayscale PNG; whole or not at all.

    An existing PNG, complete and of the right size, is left as it is. It holds the pixels and nothing else of the
    file; text that is burned into the pixels stays.

    Args:
      dicom_path: As `read_dicom` takes it, which chooses the file's first view.
      png_path: The PNG to write; its folder is created.
      max_side_px: Longest side of the PNG; an image is shrunk to it by area averaging, never enlarged.

    Returns:
      The header and the PNG's size.

    Raises:
      InputError: The file cannot be read, or the PNG cannot be written.
    """
    import cv2

    header = read_dicom_header(dicom_path)
    width, height = _shrunk_size(header.width, header.height, max_side_px)
    converted = ConvertedDicom(header, width, height)
    if _is_complete(png_path, width, height):
        return converted
    gray = read_dicom(dicom_path)
    if gray.shape != (header.height, header.width):
        raise InputError(
            f"{dicom_path}: The header says {header.width} x {header.height} px, and the pixels differ. Copy it again."
        )
    if (width, height) != (header.width, header.height):
        gray = cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA)
    _, content = cv2.imencode(".png", gray)
    try:
        with atomic_path(png_path) as temporary:
            temporary.write_bytes(np.asarray(content).tobytes())
    except OSError as error:
        raise InputError(f"{png_path} cannot be written: {error.strerror}. Choose another output.") from error
    return converted


def _shrunk_size(width: int, height: int, max_side_px: int | None) -> tuple[int, int]:
    scale = min(1.0, (max_side_px or max(width, height)) / max(width, height))
    return max(round(width * scale), 1), max(round(height * scale), 1)


def _is_complete(png_path: str | os.PathLike, width: int, height: int) -> bool:
    if not Path(png_path).is_file():
        return False
    try:
        found = read_image_header(png_path)
    except InputError:
        return False
    return (found.format, found.width, found.height) == ("PNG", width, height)
