"""What an image file says about itself, without decoding its pixels."""

from typing import Any, NamedTuple

from care_tf.errors import InputError, clause
from care_tf.file_in_memory import AnyFile, open_file, read_ends
from care_tf.images._plain_header import plain_header

ORIENTATION_TAG = 0x0112
MOST_PIXELS = 89_478_485  # a quarter of a GiB as RGB
_FIRST_TRANSPOSED_ORIENTATION = 5
_END_MARKERS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
_TAIL_BYTES = 4096  # some cameras append a few bytes of their own after the end marker


class ImageHeader(NamedTuple):
    """Format ("JPEG" or "PNG"), size in px as displayed, that is after EXIF rotation, and EXIF orientation 1..8."""

    format: str
    width: int
    height: int
    orientation: int = 1

    @property
    def stored_size(self) -> tuple[int, int]:
        """(width, height) in px as stored, before EXIF rotation."""
        is_transposed = self.orientation >= _FIRST_TRANSPOSED_ORIENTATION
        return (self.height, self.width) if is_transposed else (self.width, self.height)


def read_image_header(path: AnyFile) -> ImageHeader:
    """Reads format and oriented size of a JPEG or PNG, and that the file has an end.

    Pillow reads only the header, and knows EXIF; OpenCV cannot tell a size without decoding the pixels. What Pillow
    would say of a plain file is read without it, in a fraction of the time.

    Args:
      path: The file, on disk, in a shard or in memory.

    Returns:
      Its header.

    Raises:
      InputError: The file is missing, is no JPEG or PNG, or was cut off.
    """
    plain = plain_header(path)
    if plain is not None:
        return ImageHeader(*plain)
    from PIL import Image, UnidentifiedImageError

    try:
        with open_file(path) as file, Image.open(file, formats=("JPEG", "PNG")) as image:
            image_format = "PNG" if image.format == "PNG" else "JPEG"  # Pillow calls some JPEGs "MPO"
            check_num_pixels(image, path)
            width, height = image.size
            orientation = exif_orientation(image)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except UnidentifiedImageError:
        raise InputError(f"{path} is not a readable JPEG or PNG.") from None
    except InputError:
        raise
    except Exception as error:  # Pillow's readers raise whatever broken files lead them to
        raise InputError(f"{path} cannot be read: {clause(error)}.") from error
    if not _has_end(path, _END_MARKERS[image_format]):
        raise InputError(f"{path} is cut off before the end of the {image_format} data. Copy it again.")
    if orientation >= _FIRST_TRANSPOSED_ORIENTATION:
        width, height = height, width
    return ImageHeader(image_format, width, height, orientation)


def check_num_pixels(image: Any, path: object) -> None:
    """Refuses an image that Pillow has opened, and not decoded, of so many pixels that they would fill the memory.

    Raises:
      InputError: It has more than 89 million, from where on Pillow warns of an attack.
    """
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise InputError(
            f"{path} must have at most {MOST_PIXELS:,} pixels. Received {width:,} x {height:,}. Shrink it."
        )


def exif_orientation(image: Any) -> int:
    """The EXIF orientation, 1..8, of a JPEG that Pillow has opened; 1 for a PNG.

    PNG may carry EXIF too, but decoders do not agree on obeying it: only JPEG's is honored. Read from the EXIF block
    alone, as the pipeline does: Pillow's getexif() falls back on XMP.
    """
    from PIL import Image

    exif = Image.Exif()
    exif.load(image.info.get("exif", b"") if image.format != "PNG" else b"")
    orientation = exif.get(ORIENTATION_TAG, 1)
    return orientation if orientation in range(1, 9) else 1


def _has_end(path: AnyFile, marker: bytes) -> bool:
    if marker in read_ends(path, 0, _TAIL_BYTES)[1]:
        return True
    with open_file(path) as file:  # rare: much was appended after the end
        return marker in file.read()
