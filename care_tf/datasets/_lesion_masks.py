"""Published lesion masks that are of use: one of the whole frame, or of nothing, does not say where the lesion is."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from care_tf.box_geometry import shows_region
from care_tf.file_work import for_each_file
from care_tf.images.pixels import read_mask


def usable_masks(paths: Sequence[str | os.PathLike], where: str) -> tuple[str, ...]:
    """The masks that show a region on a background, with a progress bar.

    Args:
      paths: n PNG files.
      where: The data set, for messages.

    Returns:
      n absolute paths, "" for a mask that covers the whole frame or nothing: those are named in a warning.

    Raises:
      InputError: Masks are missing or cannot be decoded: up to 20 are listed.
    """
    is_usable = for_each_file(
        lambda path: shows_region(read_mask(path)),
        paths,
        where=where,
        progress="reading lesion masks",
        unit="mask",
    )
    warn_without_background([path for path, usable in zip(paths, is_usable, strict=True) if not usable], "mask")
    return tuple(os.path.abspath(path) if usable else "" for path, usable in zip(paths, is_usable, strict=True))


def warn_without_background(paths: Sequence[str | os.PathLike], kind: str) -> None:
    """Warns that these images, or masks, got no "box" or no "mask"; does nothing when there are none."""
    if paths:
        names = ", ".join(Path(path).stem.removesuffix("_segmentation") for path in paths)
        warnings.warn(
            f"no {kind} for {names}: the lesion mask covers the whole frame or nothing", UserWarning, stacklevel=3
        )
