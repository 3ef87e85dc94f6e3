"""When two files show the same image: what the check against a network's training images rests on."""

import re
from pathlib import Path

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
    names = {f"sha256:{file_sha256(path)}"}
    if group:
        names.add(f"group:{group}")
    archive_name = _ARCHIVE_NAME.search(Path(path).name)
    if archive_name:
        names.add(f"isic:{archive_name.group().upper()}")
    return frozenset(names)
