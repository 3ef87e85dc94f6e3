"""A bound on what a deflated DICOM file inflates to; pydicom itself has none."""

import zlib
from typing import BinaryIO

from care_tf.errors import InputError
from care_tf.images.header import MOST_PIXELS

MOST_INFLATED = 2 * MOST_PIXELS + 2**24  # bytes: the largest image, in 16 bits, and 16 MiB for everything else


class InflationGuard:
    """A file for pydicom that gives its rest at once only where that does not inflate to more than `MOST_INFLATED`.

    Only deflated bytes does pydicom read so, which follow a header that only pydicom can tell them from.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """As of any file.

        Raises:
          InputError: All the rest is asked for, and inflates to too much.
        """
        contents = self._file.read(size)
        if size < 0 and _inflates_to_more(contents, MOST_INFLATED):
            raise InputError(
                f"The deflated part of the file must be at most {MOST_INFLATED:,} bytes once inflated. Received more. "
                "Save the image uncompressed, or leave it out."
            )
        return contents


def _inflates_to_more(deflated: bytes, most: int) -> bool:
    try:
        return len(zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated, most + 1)) > most
    except zlib.error:  # pydicom's to tell
        return False
