"""Whether a compressed frame of a DICOM file is as large as the file says, read without decompressing it."""

import io
import itertools
import struct

from care_tf.errors import InputError

_RLE_HEADER = struct.Struct("<16L")  # the number of segments, and where each starts
_MAX_SEGMENTS = 15
_PADDED = 2  # some writers pad; nobody doubles the image


def check_frame(frame: bytes, width: int, height: int, *, is_rle: bool) -> None:
    """Refuses a frame that would take far more memory than its file says.

    Args:
      frame: The compressed pixels.
      width: Columns of the file.
      height: Its Rows.
      is_rle: Whether it is RLE; otherwise JPEG or JPEG 2000. What Pillow cannot open is left to its decoder.

    Raises:
      InputError: It would decompress to another size, RLE to more than twice as many bytes.

    Source: DICOM PS3.5 annex G (RLE).
    """
    if is_rle:
        received = _rle_problem(frame, _PADDED * width * height)
    else:
        size = _jpeg_size(frame)
        received = "" if size in (None, (width, height)) else "{:,} x {:,}".format(*size)
    if received:
        raise InputError(
            f"The compressed pixels must be as many as Columns and Rows say, {width:,} x {height:,}. Received "
            f"{received}. Export the image again, or leave it out."
        )


def _rle_problem(frame: bytes, most: int) -> str:
    num_segments, *starts = _RLE_HEADER.unpack_from(frame)
    bounds = [*starts[: min(num_segments, _MAX_SEGMENTS)], len(frame)]
    for start, end in itertools.pairwise(bounds):
        place, length = start, 0
        while place < end:
            code = frame[place]
            if code < 128:  # so many bytes and one more, as they are
                length += code + 1
                place += code + 2
            else:  # one byte, repeated; 128 is nothing
                length += 257 - code if code > 128 else 0
                place += 2 if code > 128 else 1
            if length > most:
                return f"RLE of more than {most:,} bytes"
    return ""


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(frame), formats=("JPEG", "JPEG2000")) as image:
            return image.size
    except UnidentifiedImageError:
        return None
