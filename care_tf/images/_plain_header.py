"""The headers of plain JPEGs and PNGs in microseconds; whatever is unusual about a file is for Pillow to judge."""

import struct
import zlib

from care_tf.file_in_memory import AnyFile, read_ends

_HEAD_BYTES, _TAIL_BYTES = 4096, 64
_MOST_PIXELS = 50_000_000  # Pillow warns of more than about 90 million
_FRAMES = frozenset(b"\xc0\xc1\xc2")
_SKIPPED = frozenset(b"\xc4\xdd\xfe")  # Huffman tables, restart interval, comment
_APPLICATIONS = frozenset(b"\xe0\xe2")  # JFIF and color profiles; not EXIF, nor what Pillow reads more of
_TABLES, _SCAN, _LEAST_APPLICATION = 0xDB, 0xDA, 14
_FRAME, _LAYERS = struct.Struct(">BHHB"), (1, 3, 4)
_PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_PNG_KINDS = {b"\x08\x00", b"\x10\x00", b"\x08\x02", b"\x08\x04", b"\x08\x06"}  # bits and color type


def plain_header(path: AnyFile) -> tuple[str, int, int] | None:
    """Format ("JPEG" or "PNG"), width and height in px of a file that Pillow would open with these and without EXIF.

    Returns:
      None where that is not certain: the file is missing, odd, has EXIF, a long header, or no end where it should be.
    """
    try:
        head, tail = read_ends(path, _HEAD_BYTES, _TAIL_BYTES)
    except (OSError, ValueError):  # such as a NUL in the path
        return None
    if head.startswith(b"\xff\xd8"):
        return _jpeg_header(head) if b"\xff\xd9" in tail else None
    return _png_header(head) if b"IEND" in tail else None


def _jpeg_header(head: bytes) -> tuple[str, int, int] | None:
    """Walks the segments up to the scan."""
    place, size = 2, None
    try:
        while head[place] == 0xFF:
            marker, start = head[place + 1], place + 4
            place += 2 + (head[place + 2] << 8 | head[place + 3])
            if start > place or place > len(head):
                return None
            if marker in _SKIPPED:
                continue
            if marker in _APPLICATIONS:
                if place - start < _LEAST_APPLICATION or head.startswith(b"MPF\0", start):
                    return None
            elif marker == _TABLES:
                if (place - start) % 65 or max(head[start:place:65], default=0) > 15:
                    return None
            elif marker in _FRAMES:
                bits, height, width, layers = _FRAME.unpack_from(head, start)
                if size or bits != 8 or layers not in _LAYERS or place - start != 6 + 3 * layers:
                    return None
                size = "JPEG", width, height
            elif marker == _SCAN:
                return size if size and 0 < size[1] * size[2] <= _MOST_PIXELS else None
            else:
                return None
    except (IndexError, struct.error):
        pass
    return None


def _png_header(head: bytes) -> tuple[str, int, int] | None:
    """Of a file whose data follow its size."""
    if not head.startswith(_PNG_START) or len(head) < 41 or head[24:26] not in _PNG_KINDS or head[27]:
        return None
    width, height = struct.unpack_from(">II", head, 16)
    is_whole = zlib.crc32(head[12:29]) == int.from_bytes(head[29:33], "big") and head[37:41] == b"IDAT"
    return ("PNG", width, height) if is_whole and 0 < width * height <= _MOST_PIXELS else None
