"""The page of predictions: thumbnails and heatmaps, the most probable images of one class first."""

import collections
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from care_tf.evaluation.page import render_page
from care_tf.evaluation.pictures import BASELINE, RUN
from care_tf.files import write_text

THUMBNAIL, HEATMAP = "thumbnails/{}.jpg", "heatmaps/{}.png"
"""Where an image's pictures lie in the folder of predictions."""

_TEMPLATE = Path(__file__).with_name("predictions.html.j2")
_MAX_SHOWN = 5000  # a browser scrolls through so many without delay


class ShownImage(NamedTuple):
    """An image on the page.

    Attributes:
      path: The file, absolute.
      link: The file, relative to the page.
      probabilities: C of them.
      picture: The name of its pictures.
      calls: The classes that it is called; None where the model has no thresholds.
    """

    path: str
    link: str
    probabilities: Sequence[float]
    picture: str
    calls: Sequence[str] | None


def write_page(
    path: Path, images: Sequence[ShownImage], class_names: Sequence[str], sorted_by: str, why: str, num_bad: int
) -> None:
    """Writes the page, which refers to pictures beside it.

    Args:
      path: The HTML file.
      images: n > 0 images.
      class_names: C names.
      sorted_by: The class whose most probable images come first.
      why: Why it is that one.
      num_bad: How many images could not be read.
    """
    focus = class_names.index(sorted_by)
    ordered = sorted(images, key=lambda image: (-image.probabilities[focus], image.path))
    tops = collections.Counter(int(np.argmax(image.probabilities)) for image in images)
    html = render_page(
        _TEMPLATE,
        {
            "colors": {"run": RUN, "baseline": BASELINE},
            "num_images": len(images),
            "num_bad": num_bad,
            "sorted_by": sorted_by,
            "why": why,
            "counts": [(name, tops[index]) for index, name in enumerate(class_names)],
            "cards": [_card(image, class_names, focus, path.parent) for image in ordered[:_MAX_SHOWN]],
        },
    )
    write_text(path, html)


def _card(image: ShownImage, class_names: Sequence[str], focus: int, folder: Path) -> dict[str, object]:
    top = int(np.argmax(image.probabilities))
    heatmap = HEATMAP.format(image.picture)
    return {
        "name": Path(image.path).name,
        "path": image.path,
        "link": image.link,
        "thumbnail": THUMBNAIL.format(image.picture),
        "heatmap": heatmap if (folder / heatmap).exists() else None,
        "value": f"{image.probabilities[focus]:.3f}",
        "top": class_names[top],
        "is_focus": top == focus,
        "calls": None if image.calls is None else ", ".join(image.calls) or "no class",
        "top_value": f"{image.probabilities[top]:.3f}",
    }
