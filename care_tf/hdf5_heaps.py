"""The heaps in which HDF5 keeps texts of any length, walked before the library does: it goes round in a broken one."""

import mmap
import struct

_START = b"GCOL\x01"  # with the format's version, the only one
_HEADER = struct.Struct("<H6xQ")  # of an object: its number, 0 for what is free, and its size
_NUM_LENGTHS, _ALIGNED = 2**64, 8


def is_walked_to_its_end(content: bytes | mmap.mmap) -> bool:
    """Whether the library would come to the end of every global heap of a file.

    Of an object of `size` bytes it goes on by ``16 + 8 * ceil(size / 8)``, of free ones by ``size``, modulo 2^64. Where
    that is 0 or leads back, it never ends (HDF5 1.14.6).

    Args:
      content: Of an HDF5 file whose lengths have 8 bytes.

    Returns:
      False where a heap has no end, or where heaps lie within each other, which none does that the library wrote.
    """
    most = len(content) // _HEADER.size
    start = content.find(_START)
    while start >= 0 and most >= 0:
        place = start + _HEADER.size
        size = _HEADER.unpack_from(content, start)[1] if place <= len(content) else len(content)
        end = start + size
        if end <= len(content):  # else the library refuses it
            while place + _HEADER.size <= end and most >= 0:
                number, size = _HEADER.unpack_from(content, place)
                step = (_HEADER.size + -(-size // _ALIGNED) * _ALIGNED) % _NUM_LENGTHS if number else size
                if not 0 < step <= end - place:
                    return False
                place, most = place + step, most - 1
        start = content.find(_START, start + 1)
    return most >= 0
