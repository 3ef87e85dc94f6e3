"""Grayscale DICOM files as a viewer would show them, in 8 bits; the only module that imports pydicom."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from care_tf.datasets._dicom_display import gray_levels
from care_tf.errors import InputError
from care_tf.extras import require_extra

_GRAYSCALE = ("MONOCHROME1", "MONOCHROME2")
_MAX_BITS = 16
# What to install for the compressions that pydicom and Pillow cannot read, by the end of the transfer syntax's UID.
_SYNTAX_ROOT = "1.2.840.10008.1.2.4."
_DECODING_PACKAGES = {
    "51": "pylibjpeg pylibjpeg-libjpeg",  # GPL; the 12-bit form of it is read by no other
    **dict.fromkeys(("57", "70"), "python-gdcm"),
    **dict.fromkeys(("80", "81"), "pyjpegls"),
    **dict.fromkeys(("201", "202", "203"), "pylibjpeg pylibjpeg-openjpeg"),
}


class DicomHeader(NamedTuple):
    """PatientID ("" where it is missing or empty) and size in px."""

    patient_id: str
    width: int
    height: int


def read_dicom_header(path: str | os.PathLike) -> DicomHeader:
    """Reads three entries of a DICOM file, without its pixels.

    Raises:
      InputError: pydicom is not installed, the file is missing or no DICOM file, or it says no size.
    """
    with _named_errors(path):
        dataset = _read(path, stop_before_pixels=True, specific_tags=["PatientID", "Rows", "Columns"])
        width, height = int(dataset.get("Columns") or 0), int(dataset.get("Rows") or 0)
        if width < 1 or height < 1:
            raise InputError("The file holds no image: it names no Rows and Columns. Leave it out.")
        return DicomHeader(str(dataset.get("PatientID") or "").strip(), width, height)


def read_dicom(path: str | os.PathLike, window: int | str | None = None) -> np.ndarray:
    """Decodes a DICOM file and applies what it says about its display.

    stored value -> modality (rescale slope and intercept, or a lookup table) -> view (a lookup table, or a window)
    -> 0..255, inverted for MONOCHROME1. A file that names no view is shown whole: from the least to the greatest
    value that 8 bits can hold, which leaves 8-bit images as they are, or, with more bits, from the least to the
    greatest value in the image, padding aside.

    Args:
      path: A single-frame grayscale file, 1 to 16 bits, signed or not. Uncompressed, deflated, RLE and, through
        Pillow, 8-bit JPEG and JPEG 2000; other compressions need a package that the error names.
      window: Which of the file's views, lookup tables before windows: None takes the first, a number counts from 0,
        text is its explanation in the file (in upper or lower case).

    Returns:
      uint8 (H,W), 0 is black.

    Raises:
      InputError: pydicom is not installed; the file is missing, cut off, no DICOM file, without pixels, in color, in
        several frames, or in a compression that no installed package decodes; there is no such view.

    Source: DICOM PS3.3 C.11.1 (modality), C.11.2 (view), C.7.6.3.1.2 (photometric interpretation). Where the standard
    leaves the choice between lookup table and window to the viewer: the table. Only the pixels leave this function.
    """
    with _named_errors(path):
        dataset = _read(path)
        stored = _stored_values(dataset)
        # Once per value, not per pixel.
        return gray_levels(dataset, stored, window)[stored.astype(np.int64) - np.iinfo(stored.dtype).min]


def _stored_values(dataset: Any) -> np.ndarray:
    """int or uint (H,W) of 8 or 16 bits, unused bits cleared."""
    if "PixelData" not in dataset:
        raise InputError("The file has no pixel data. Leave it out.")
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if photometric not in _GRAYSCALE or int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise InputError(
            f"The image must be grayscale, {' or '.join(_GRAYSCALE)}. Received {photometric or 'nothing'}."
        )
    num_frames = int(dataset.get("NumberOfFrames") or 1)
    if num_frames != 1:
        raise InputError(f"The file must hold one image. Received {num_frames} frames. Save each as a file of its own.")
    if int(dataset.BitsAllocated) > _MAX_BITS:
        raise InputError(f"The image must have at most {_MAX_BITS} bits per pixel. Received {dataset.BitsAllocated}.")
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return dataset.pixel_array
    from pydicom.pixels import get_decoder

    package = _DECODING_PACKAGES.get(str(syntax).removeprefix(_SYNTAX_ROOT))
    fix = f"run pip install {package}" if package else "save it in an uncompressed transfer syntax"
    compression = f"The pixels are compressed as {syntax.name} ({syntax})"
    try:
        if not get_decoder(syntax).is_available:
            raise InputError(f"{compression}, which nothing installed decodes. To read it, {fix}.")
        return dataset.pixel_array
    except NotImplementedError:
        raise InputError(f"{compression}, which pydicom does not decode. To read it, {fix}.") from None
    except RuntimeError as error:  # raised when the packages that decode it refuse this file, or its data are broken
        raise InputError(f"{compression}: {' '.join(str(error).split())}. Copy it again, or {fix}.") from error


def _read(path: str | os.PathLike, **options: Any) -> Any:
    require_extra("Reading DICOM files", "dicom", "pydicom")
    import pydicom

    try:
        return pydicom.dcmread(path, **options)
    except FileNotFoundError:
        raise InputError("There is no such file.") from None
    except pydicom.errors.InvalidDicomError:
        raise InputError("The file is not a DICOM file: its header is missing.") from None


@contextlib.contextmanager
def _named_errors(path: str | os.PathLike) -> Iterator[None]:
    """Turns everything into an `InputError` that names the file: a broken one makes pydicom raise whatever it meets."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: The file cannot be decoded: {reason}. Copy it again, or leave it out.") from error
