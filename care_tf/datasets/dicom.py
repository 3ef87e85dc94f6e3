"""Grayscale DICOM files as a viewer would show them, in 8 bits; the only module that imports pydicom."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from care_tf.datasets._compressed_frame import check_frame
from care_tf.datasets._dicom_display import gray_levels
from care_tf.datasets._inflation_guard import InflationGuard
from care_tf.errors import InputError
from care_tf.extras import require_extra
from care_tf.file_in_memory import AnyFile, open_file
from care_tf.images.header import MOST_PIXELS

_GRAYSCALE = ("MONOCHROME1", "MONOCHROME2")
_MAX_BITS = 16
_REQUIRED = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation")
_RLE = "1.2.840.10008.1.2.5"
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


def read_dicom_header(path: AnyFile) -> DicomHeader:
    """Reads three entries of a DICOM file, without its pixels.

    Raises:
      InputError: pydicom is not installed, the file is missing or no DICOM file, it says no size, or its deflated part,
        which may hold these entries, inflates to more than 196 MB.
    """
    with _named_errors(path):
        dataset = _read(path, stop_before_pixels=True, specific_tags=["PatientID", "Rows", "Columns"])
        width, height = int(dataset.get("Columns") or 0), int(dataset.get("Rows") or 0)
        if width < 1 or height < 1:
            raise InputError("The file holds no image: it names no Rows and Columns. Leave it out.")
        return DicomHeader(str(dataset.get("PatientID") or "").strip(), width, height)


def read_dicom(path: AnyFile, window: int | str | None = None) -> np.ndarray:
    """Decodes a DICOM file and applies what it says about its display.

    stored value -> modality (rescale slope and intercept, or a lookup table) -> view (a lookup table, or a window)
    -> 0..255, inverted for MONOCHROME1. A file that names no view is shown whole: from the least to the greatest
    value that 8 bits can hold, which leaves 8-bit images as they are, or, with more bits, from the least to the
    greatest value in the image, padding aside.

    Args:
      path: A single-frame grayscale file, 1 to 16 bits, signed or not, with or without DICOM's preamble. Uncompressed,
        deflated, RLE and, through Pillow, 8-bit JPEG and JPEG 2000; other compressions need a package that the error
        names. Without a TransferSyntaxUID its encoding is read off the first element, and compression is refused.
      window: Which of the file's views, lookup tables before windows: None takes the first, a number counts from 0,
        text is its explanation in the file (in upper or lower case).

    Returns:
      uint8 (H,W), 0 is black.

    Raises:
      InputError: pydicom is not installed; the file is missing, cut off, no DICOM file, without pixels, in color, in
        several frames, in a compression that no installed package decodes, compressed at another size than it says, of
        more than 89 million pixels, or deflated from more than 196 MB; an element that says how to read or show it is
        missing or wrong; there is no such view.

    Source: DICOM PS3.3 C.11.1 (modality), C.11.2 (view), C.7.6.3.1.2 (photometric interpretation), PS3.5 8.1.1 (bits).
    Where the standard leaves the choice between lookup table and window to the viewer: the table. Only the pixels leave
    this function.
    """
    with _named_errors(path):
        dataset = _read(path)
        _take_from_functional_groups(dataset)
        stored = _stored_values(dataset)
        # Once per value, not per pixel.
        return gray_levels(dataset, stored, window)[stored.astype(np.int64) - np.iinfo(stored.dtype).min]


def _take_from_functional_groups(dataset: Any) -> None:
    """An enhanced image keeps its modality and view one level down; with one frame, they are the image's."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in dataset.get(groups) or ():
            for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                for entries in group.get(macro) or ():
                    dataset.update(entries)


def _stored_values(dataset: Any) -> np.ndarray:
    """int or uint (H,W) of 8 or 16 bits, unused bits cleared."""
    _check_is_one_gray_image(dataset)
    dataset.SamplesPerPixel = 1  # which grayscale implies
    syntax = _transfer_syntax(dataset)
    num_allocated, num_stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    given = dataset.get("HighBit")
    high_bit = num_stored - 1 if given is None else int(given)
    if high_bit == num_stored - 1:
        return _decoded(dataset, syntax)
    if not num_stored <= high_bit < num_allocated or (syntax.is_encapsulated and syntax != _RLE):
        raise InputError(
            f"HighBit (0028,0102) must be one less than BitsStored (0028,0101), {num_stored}. Received {high_bit}. "
            "Correct it in the file, or leave the image out."
        )
    dataset.BitsStored = num_allocated  # whole cells, because pydicom takes no notice of HighBit
    cells = _decoded(dataset, syntax)
    dataset.BitsStored = num_stored
    return _shifted(cells, high_bit, num_stored)


def _shifted(cells: np.ndarray, high_bit: int, num_stored: int) -> np.ndarray:
    """The values whose most significant bit is `high_bit`, from whole cells."""
    num_bits, num_below = 8 * cells.itemsize, high_bit + 1 - num_stored
    largest = 2 ** (num_stored - (cells.dtype.kind == "i")) - 1
    if (cells & (2**num_below - 1)).any() and -largest - 1 <= cells.min() and cells.max() <= largest:
        raise InputError(
            f"HighBit (0028,0102) must say where the pixels are. Received {high_bit}, but the pixels are in the lowest "
            f"{num_stored} bits. Correct it in the file, or leave the image out."
        )
    return cells << (num_bits - 1 - high_bit) >> (num_bits - num_stored)


def _check_is_one_gray_image(dataset: Any) -> None:
    if "PixelData" not in dataset:
        raise InputError("The file has no pixel data. Leave it out.")
    photometric = str(dataset.get("PhotometricInterpretation") or "")
    if photometric not in _GRAYSCALE or int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise InputError(
            f"The image must be grayscale, {' or '.join(_GRAYSCALE)}. Received {photometric or 'nothing'} as "
            "PhotometricInterpretation (0028,0004). Leave it out."
        )
    num_frames = int(dataset.get("NumberOfFrames") or 1)
    if num_frames != 1:
        raise InputError(f"The file must hold one image. Received {num_frames} frames. Save each as a file of its own.")
    missing = [name for name in _REQUIRED if dataset.get(name) in (None, "")]
    if missing:
        raise InputError(
            f"The file must say how its pixels are stored. Received no {', '.join(missing)}. Add what the scanner's "
            "manufacturer says, or leave the image out."
        )
    if int(dataset.BitsAllocated) > _MAX_BITS:
        raise InputError(f"The image must have at most {_MAX_BITS} bits per pixel. Received {dataset.BitsAllocated}.")
    width, height = int(dataset.Columns), int(dataset.Rows)
    if width * height > MOST_PIXELS:
        raise InputError(
            f"The image must have at most {MOST_PIXELS:,} pixels. Received {width:,} x {height:,} as Columns and Rows. "
            "Shrink it."
        )


def _transfer_syntax(dataset: Any) -> Any:
    """The file's transfer syntax; one that is missing follows from how the elements before the pixels were read."""
    from pydicom import uid

    syntax, is_compressed = dataset.file_meta.get("TransferSyntaxUID"), dataset["PixelData"].is_undefined_length
    if not syntax and not is_compressed:
        is_implicit, is_little_endian = dataset.original_encoding
        explicit = uid.ExplicitVRLittleEndian if is_little_endian else uid.ExplicitVRBigEndian
        syntax = dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if is_implicit else explicit
    if not syntax or not syntax.is_transfer_syntax or syntax.is_encapsulated != is_compressed:
        raise InputError(
            "TransferSyntaxUID (0002,0010) must say how the pixels are encoded. Received "
            f"{f'{syntax.name} ({syntax})' if syntax else 'none'}, and pixels that are "
            f"{'' if is_compressed else 'not '}compressed. Correct it in the file, or export the image again."
        )
    return syntax


def _decoded(dataset: Any, syntax: Any) -> np.ndarray:
    """pydicom's pixels."""
    if not syntax.is_encapsulated:
        return dataset.pixel_array
    from pydicom.pixels import get_decoder

    package = _DECODING_PACKAGES.get(str(syntax).removeprefix(_SYNTAX_ROOT))
    fix = f"run pip install {package}" if package else "save it in an uncompressed transfer syntax"
    compression = f"The pixels are compressed as {syntax.name} ({syntax})"
    try:
        if not get_decoder(syntax).is_available:
            raise InputError(f"{compression}, which nothing installed decodes. To read it, {fix}.")
        check_frame(_frame(dataset), int(dataset.Columns), int(dataset.Rows), is_rle=syntax == _RLE)
        return dataset.pixel_array
    except NotImplementedError:
        raise InputError(f"{compression}, which pydicom does not decode. To read it, {fix}.") from None
    except RuntimeError as error:  # raised when the packages that decode it refuse this file, or its data are broken
        raise InputError(f"{compression}: {' '.join(str(error).split())}. Copy it again, or {fix}.") from error


def _frame(dataset: Any) -> bytes:
    """The compressed frame, as pydicom's decoder finds it."""
    from pydicom.encaps import get_frame

    tables = [dataset.get(name) for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")]
    return get_frame(dataset.PixelData, 0, number_of_frames=1, extended_offsets=tuple(tables) if all(tables) else None)


def _read(path: AnyFile, **options: Any) -> Any:
    require_extra("Reading DICOM files", "dicom", "pydicom")
    import pydicom

    try:
        with open_file(path) as file:
            return pydicom.dcmread(InflationGuard(file), **options)
    except FileNotFoundError:
        raise InputError("There is no such file.") from None
    except pydicom.errors.InvalidDicomError:
        pass
    with contextlib.suppress(Exception), open_file(path) as file:  # whatever is no DICOM file makes it raise anything
        # Without the preamble that starts a file.
        dataset = pydicom.dcmread(InflationGuard(file), force=True, **options)
        if dataset.get("Rows"):
            return dataset
    raise InputError("The file is not a DICOM file: its header is missing.")


@contextlib.contextmanager
def _named_errors(path: AnyFile) -> Iterator[None]:
    """Turns everything into an `InputError` that names the file: a broken one makes pydicom raise whatever it meets."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: The file cannot be decoded: {reason}. Copy it again, or leave it out.") from error
