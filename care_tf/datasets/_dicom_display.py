"""From stored DICOM values to the brightness a viewer would show; needs the data set's entries, not pydicom."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from care_tf.errors import InputError

_View = Callable[[np.ndarray], np.ndarray]
_PADDING = ("PixelPaddingValue", "PixelPaddingRangeLimit")
_FIX = "Correct it in the file, or leave the image out"


def gray_levels(dataset: Any, stored: np.ndarray, window: int | str | None = None) -> np.ndarray:
    """The gray that every value of the pixels' type is shown as: what `read_dicom` says about the display.

    Args:
      dataset: The file's entries, as pydicom reads them.
      stored: int or uint (H,W) of 8 or 16 bits, unused bits cleared.
      window: The view, as in `read_dicom`.

    Returns:
      uint8 (n,): the gray of the type's least value first.

    Raises:
      InputError: There is no such view, or a window or lookup table is not valid.
    """
    limits = np.iinfo(stored.dtype)
    levels = _modality(dataset, np.arange(limits.min, limits.max + 1))
    view = _chosen_view(_views(dataset), window)
    shown = view(levels) if view is not None else _whole_range(dataset, stored, levels)
    gray = np.rint(255 * shown).astype(np.uint8)
    return 255 - gray if dataset.PhotometricInterpretation == "MONOCHROME1" else gray


def apply_window(values: npt.ArrayLike, center: float, width: float, function: str = "LINEAR") -> np.ndarray:
    """The part of the value range that a window shows, as brightness.

    LINEAR:       clip((x - (c - 0.5)) / (w - 1) + 0.5, 0, 1), a step after c - 0.5 for w = 1
    LINEAR_EXACT: clip((x - c) / w + 0.5, 0, 1)
    SIGMOID:      1 / (1 + exp(-4 (x - c) / w))

    Args:
      values: Any shape, after the modality transformation.
      center: c, in the values' unit.
      width: w, in the values' unit; at least 1 for LINEAR, positive for the others.
      function: One of the three.

    Returns:
      float64 of the same shape, in [0, 1].

    Raises:
      InputError: Another function, or a width outside its range.

    Example:
      >>> apply_window([0, 64, 128, 255], center=128, width=256).tolist() == [0, 64 / 255, 128 / 255, 1]
      True

    Source: DICOM PS3.3 C.11.2.1.2.1, C.11.2.1.3.
    """
    x = np.asarray(values, np.float64)
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise InputError(
            f"VOILUTFunction (0028,1056) must be LINEAR, LINEAR_EXACT or SIGMOID. Received {function!r}. {_FIX}."
        )
    if not (np.isfinite([center, width]).all() and width > 0 and (width >= 1 or function != "LINEAR")):
        raise InputError(
            f"WindowWidth (0028,1051): A window's width must be {'at least 1' if function == 'LINEAR' else 'positive'} "
            f"and finite for {function}. Received center {center:g}, width {width:g}. {_FIX}."
        )
    if function == "SIGMOID":
        # As tanh, which does not overflow far outside of a narrow window.
        return 0.5 + 0.5 * np.tanh(2 * (x - center) / width)
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:
        return (x > center).astype(np.float64)
    return np.clip((x - center) / width + 0.5, 0, 1)


def _modality(dataset: Any, stored: np.ndarray) -> np.ndarray:
    """Stored values as the quantity that they represent."""
    if dataset.get("ModalityLUTSequence"):
        return _look_up(dataset.ModalityLUTSequence[0], stored, dataset.original_encoding[1])[0]
    slope, intercept = _numbers(dataset, "RescaleSlope") or [1.0], _numbers(dataset, "RescaleIntercept") or [0.0]
    if not (np.isfinite([slope[0], intercept[0]]).all() and slope[0]):
        raise InputError(
            "RescaleSlope (0028,1053) must be a number other than 0, RescaleIntercept (0028,1052) any number. Received "
            f"{slope[0]:g}, {intercept[0]:g}. {_FIX}."
        )
    return stored * slope[0] + intercept[0]


def _views(dataset: Any) -> list[tuple[str, _View]]:
    """Explanation and function (values -> brightness in [0, 1]) of every view that the file offers."""
    views: list[tuple[str, _View]] = []
    for item in dataset.get("VOILUTSequence") or ():
        view = functools.partial(_through_table, item=item, is_little_endian=dataset.original_encoding[1])
        views.append((str(item.get("LUTExplanation") or ""), view))
    centers, widths = _numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth")
    if len(centers) != len(widths):
        raise InputError(
            "WindowCenter (0028,1050) and WindowWidth (0028,1051): Every window center needs a width. Received "
            f"{len(centers)} centers and {len(widths)} widths. {_FIX}."
        )
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    names = [str(name) for name in _listed(dataset.get("WindowCenterWidthExplanation"))]
    for i, (center, width) in enumerate(zip(centers, widths, strict=True)):
        view = functools.partial(apply_window, center=center, width=width, function=function)
        views.append((names[i] if i < len(names) else "", view))
    return views


def _through_table(values: np.ndarray, item: Any, is_little_endian: bool) -> np.ndarray:
    outputs, num_bits = _look_up(item, values, is_little_endian)
    return outputs / (2**num_bits - 1)


def _chosen_view(views: Sequence[tuple[str, _View]], window: int | str | None) -> _View | None:
    if window is None:
        return views[0][1] if views else None
    for i, (name, view) in enumerate(views):
        is_named = isinstance(window, str) and name != "" and window.strip().lower() == name.strip().lower()
        if window == i or is_named:
            return view
    offered = ", ".join(f"{i} {name!r}" if name else str(i) for i, (name, _) in enumerate(views))
    raise InputError(f"There is no window {window!r}. There is {offered or 'none, so leave the window out'}.")


def _whole_range(dataset: Any, stored: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Brightness of every level when the file names no view."""
    lowest = int(np.iinfo(stored.dtype).min)
    num_bits = int(dataset.BitsStored)
    if num_bits <= 8:
        first = -(2 ** (num_bits - 1)) if lowest else 0
        present = levels[first - lowest : first + 2**num_bits - lowest]
    else:
        ends = [dataset[name].value for name in _PADDING if name in dataset and dataset[name].value is not None]
        counted = stored[(stored < min(ends)) | (stored > max(ends))] if ends else stored
        counted = counted if counted.size else stored
        # Every value between as well: a lookup table need not rise.
        present = levels[int(counted.min()) - lowest : int(counted.max()) + 1 - lowest]
    least, greatest = float(present.min()), float(present.max())
    return np.clip((levels - least) / ((greatest - least) or 1.0), 0, 1)


def _look_up(item: Any, values: np.ndarray, is_little_endian: bool) -> tuple[np.ndarray, int]:
    """Outputs of a lookup table and their number of bits; values off its ends take the entry at that end.

    Not pydicom's `apply_voi`: in 3.0 it counts the positions of a table with 8-bit outputs in 8 bits, so that it wraps
    around in a table of more than 256 entries.
    """
    descriptor = _numbers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        raise InputError(f"LUTDescriptor (0028,3002) must hold three numbers. Received {len(descriptor)}. {_FIX}.")
    num_entries, first, num_bits = map(int, descriptor)
    num_entries = num_entries or 2**16
    data = item.LUTData
    if isinstance(data, bytes):
        is_packed = num_bits == 8 and len(data) < 2 * num_entries
        table = np.frombuffer(data, np.uint8 if is_packed else ("<u2" if is_little_endian else ">u2"))
    else:
        table = np.asarray(_listed(data))
    if len(table) < num_entries or not 8 <= num_bits <= 16:
        raise InputError(
            "LUTData (0028,3006) must hold as many entries of 8 to 16 bits as LUTDescriptor (0028,3002) says. Received "
            f"a table that says {num_entries} of {num_bits} bits and holds {len(table)}. {_FIX}."
        )
    if first >= 2**15 and values.min() < 0:
        first -= 2**16  # signed, but read as unsigned: the entry does not say which
    positions = np.clip(np.rint(values) - first, 0, num_entries - 1)
    return table[positions.astype(np.int64)].astype(np.float64), num_bits


def _numbers(dataset: Any, name: str) -> list[float]:
    """All numbers of an element; none where it is missing or empty."""
    try:
        return [float(number) for number in _listed(dataset.get(name))]
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must hold numbers. Received something else: {error}. {_FIX}.") from error


def _listed(value: Any) -> list[Any]:
    """pydicom gives one value as itself, several as a list, none as None or ""."""
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str | int | float) or not hasattr(value, "__iter__") else list(value)
