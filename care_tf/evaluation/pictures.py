"""Pictures for a self-contained page: matplotlib figures as SVG and arrays as JPEG, in data URIs, with alt texts."""

import base64
import contextlib
import io
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from care_tf.extras import require_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

require_extra(__name__, "runs", "matplotlib")

RUN, BASELINE, INK, FAINT = "#0072B2", "#D98200", "#1B2733", "#8A96A3"
"""Colors of the run, the baseline, text and grid: told apart with any color vision (after Okabe and Ito)."""

_STYLE = {
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.axisbelow": True,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "grid.color": "#E6EAEE",
    "legend.frameon": False,
    "svg.fonttype": "none",  # the browser's own fonts: class names in any script, and small files
    "svg.hashsalt": "care_tf",  # equal data give equal bytes
    "text.color": INK,
    "text.parse_math": False,  # a class name may hold a dollar sign
    "xtick.color": INK,
    "ytick.color": INK,
    "ytick.left": False,
    "xtick.bottom": False,
}


class Picture(NamedTuple):
    """An image for an `<img>` tag: its data URI and the text for those who cannot see it."""

    uri: str
    alt: str


@contextlib.contextmanager
def drawing(width: float, height: float) -> Iterator["Figure"]:
    """A matplotlib figure in the report's style, without touching the process's own matplotlib settings.

    Args:
      width: Inches; 10.4 fills the page.
      height: Inches.

    Yields:
      The figure: draw on it and turn it into a picture inside the block.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield Figure(figsize=(width, height))


def svg_picture(figure: "Figure", alt: str) -> Picture:
    """The figure as an SVG data URI.

    Args:
      figure: A figure of `drawing`.
      alt: What the figure says, in words.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return Picture("data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode(), alt)


def jpeg_picture(pixels: np.ndarray, alt: str, quality: int = 88) -> Picture:
    """An RGB image as a JPEG data URI.

    Args:
      pixels: (H, W, 3) uint8.
      alt: What the image shows, in words.
      quality: Of the JPEG, 1 to 95.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    return Picture("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode(), alt)


def wrapped(text: str, letters: int = 28) -> str:
    """A name on as many lines as it needs beside an axis.

    Example:
      >>> wrapped("nevus"), wrapped("benign keratosis-like lesion (solar lentigo)", 24).splitlines()
      ('nevus', ['benign keratosis-like', 'lesion (solar lentigo)'])
    """
    return textwrap.fill(text, letters, break_on_hyphens=False)


def shortened(name: str, letters: int = 26) -> str:
    """A name without its end where it is long, for a place that cannot hold it.

    Example:
      >>> shortened("CARE"), shortened("Cost-sensitive learning with rotation")
      ('CARE', 'Cost-sensitive learning w\u2026')
    """
    return name if len(name) <= letters else f"{name[: letters - 1].rstrip()}\u2026"


def num_lines(texts: Iterable[str]) -> int:
    """The lines of the text with the most."""
    return max((text.count("\n") + 1 for text in texts), default=1)


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a percentage; "n/a" where undefined.

    Example:
      >>> percent(0.3913), percent(None)
      ('39.1\u202f%', 'n/a')
    """
    return "n/a" if value is None else f"{100 * value:.{digits}f}\u202f%"


def hide_spines(axes: Any, *sides: str) -> None:
    """Removes the axis lines of the given sides."""
    for side in sides:
        axes.spines[side].set_visible(False)
