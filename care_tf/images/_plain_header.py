"""The headers of plain JPEGs and PNGs in microseconds; whatever is unusual about a file is for Pillow to judge."""

import os
import struct
import zlib

_HEAD_BYTES, _TAIL_BYTES = 4096, 64
_MOST_PIXELS = 50_000_000  # Pillow warns of more than about 90 million
_FRAMES = b"\xc0\xc1\xc2"
_SKIPPED = b"\xc4\xdd\xe0\xe2\xed\xfe"  # Huffman tables, restart interval, JFIF, profile, Photoshop, comment: not EXIF
_TABLES, _SCAN, _PROFILE = 0xDB, 0xDA, 0xE2
_PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_PNG_KINDS = {b"\x08\x00", b"\x10\x00", b"\x08\x02", b"\x08\x04", b"\x08\x06"}  # bits and color type


def plain_header(path: str | os.PathLike) -> tuple[str, int, int] | None:
    """Format ("JPEG" or "PNG"), width and height in px of a file that Pillow would open with these and without EXIF.

    Returns:
      None where that is not certain: the file is missing, odd, has EXIF, a long header, or no end where it should be.
    """
    try:
        file = os.open(path, os.O_RDONLY)
        try:
            head = os.read(file, _HEAD_BYTES)
            tail = os.pread(file, _TAIL_BYTES, max(0, os.lseek(file, 0, os.SEEK_END) - _TAIL_BYTES))
        finally:
            os.close(file)
    except OSError:
        return None
    if head.startswith(b"\xff\xd8"):
        size = _jpeg_size(head) if b"\xff\xd9" in tail else None
        return None if size is None else ("JPEG", *size)
    size = _png_size(head) if b"IEND" in tail else None
    return None if size is None else ("PNG", *size)


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Walks the segments up to the scan."""
    place, size = 2, None
    try:
        while True:
            mark, marker, length = struct.unpack_from(">BBH", head, place)
            start, place = place + 4, place + 2 + length
            if mark != 0xFF or length < 2 or place > len(head):
                return None
            if marker in _FRAMES:
                bits, height, width, layers = struct.unpack_from(">BHHB", head, start)
                if size or bits != 8 or layers not in (1, 3, 4) or length != 8 + 3 * layers:
                    return None
                size = width, height
            elif marker == _TABLES:
                if (length - 2) % 65 or max(head[start:place:65], default=0) > 15:
                    return None
            elif marker == _SCAN:
                return size if size and 0 < size[0] * size[1] <= _MOST_PIXELS else None
            elif marker not in _SKIPPED or (marker == _PROFILE and head.startswith(b"MPF\0", start)):
                return None
    except struct.error:
        return None


def _png_size(head: bytes) -> tuple[int, int] | None:
    """Of a file whose data follow its size."""
    if not head.startswith(_PNG_START) or len(head) < 41 or head[24:26] not in _PNG_KINDS or head[27]:
        return None
    width, height = struct.unpack_from(">II", head, 16)
    is_whole = zlib.crc32(head[12:29]) == int.from_bytes(head[29:33], "big")
    return (width, height) if is_whole and head[37:41] == b"IDAT" and 0 < width * height <= _MOST_PIXELS else None
