"""Published lesion masks that are of use: one of the whole frame, or of nothing, does not say where the lesion is."""

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from care_tf.data.manifest_rows import raise_problems
from care_tf.errors import InputError
from care_tf.images.pixels import read_mask

_NUM_THREADS = min(32, 4 * (os.cpu_count() or 1))


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
    from tqdm import tqdm

    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        results = list(tqdm(pool.map(_shows_a_region, paths), "reading lesion masks", len(paths), unit="mask"))
    raise_problems(where, [str(result) for result in results if isinstance(result, InputError)])
    warn_without_background([path for path, result in zip(paths, results, strict=True) if not result], "mask")
    return tuple(os.path.abspath(path) if result else "" for path, result in zip(paths, results, strict=True))


def warn_without_background(paths: Sequence[str | os.PathLike], kind: str) -> None:
    """Warns that these images, or masks, got no "box" or no "mask"; does nothing when there are none."""
    if paths:
        names = ", ".join(Path(path).stem.removesuffix("_segmentation") for path in paths)
        warnings.warn(
            f"no {kind} for {names}: the lesion mask covers the whole frame or nothing", UserWarning, stacklevel=3
        )


def _shows_a_region(path: str | os.PathLike) -> bool | InputError:
    """An unreadable mask is the error itself, for one list of all."""
    try:
        mask = read_mask(path)
    except InputError as error:
        return error
    return bool(mask.any() and not mask.all())
