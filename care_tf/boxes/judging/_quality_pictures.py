"""Pictures of the quality of boxes: how IoU is distributed, and made beside true boxes on the images."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from care_tf.boxes.judging._judged_images import JudgedImage
from care_tf.boxes.judging.quality import GOOD_IOU, BoxQuality, ClassQuality, placed_images
from care_tf.evaluation.pictures import BASELINE, FAINT, INK, RUN, Picture, drawing, jpeg_picture, svg_picture
from care_tf.images.pixels import read_image

TRUE_COLOR, MADE_COLOR = "#00e63c", "#ff4dff"
"""Green and magenta: told apart with any color vision, and neither is a color of skin."""

_METHOD_COLORS = (RUN, BASELINE, "#009E73", "#CC79A7", "#56B4E9", "#7A5C00")
_REFERENCE_STYLES = ("--", ":")
_HALO_COLOR = "#101010"
_TILE_PX = 300


def iou_figure(quality: BoxQuality) -> Picture:
    """Share of images that reach every IoU: one panel per class, a line per method, gray for the references."""
    num_panels = len(quality.classes)
    num_rows = math.ceil(num_panels / 3)
    num_columns = math.ceil(num_panels / num_rows)
    with drawing(10.4, 0.5 + 2.9 * num_rows) as figure:
        panels = figure.subplots(num_rows, num_columns, squeeze=False, sharey=True)
        for axes in panels.flat[num_panels:]:
            axes.set_visible(False)
        for panel, (axes, own) in enumerate(zip(panels.flat, quality.classes, strict=False)):
            _survival_lines(axes, own, quality.images)
            axes.axvline(GOOD_IOU, color=INK, linewidth=0.8, alpha=0.5)
            axes.set_title(f"{own.name}  (n = {own.num_images})")
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1.01)
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}\u202f%")
            if panel + num_columns >= num_panels:
                axes.set_xlabel("IoU")
        for axes in panels[:, 0]:
            axes.set_ylabel("images with at least this IoU")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=5, fontsize=9)
        alt = "Share of images that reach every IoU. " + "; ".join(
            f"{own.name}, {method.name}: {method.figures['share_good'].value or 0:.0%} reach {GOOD_IOU}"
            for own in quality.classes
            for method in own.methods
        )
        return svg_picture(figure, alt)


def of_class(images: Sequence[JudgedImage], name: str) -> list[JudgedImage]:
    """The images of a class; all of them for "all", unless a class is called so."""
    own = [image for image in images if image.class_name == name]
    return own or list(images)


def example_images(images: Sequence[JudgedImage], num_each: int = 4) -> dict[str, list[JudgedImage]]:
    """The images of one method with the highest, the middle and the lowest IoU, none of them twice.

    Returns:
      "best", "median" and "worst" -> at most `num_each` images, from high to low IoU; equal ones by path.
    """
    ordered = sorted(images, key=lambda image: (-image.iou, image.path))
    num_each = min(num_each, math.ceil(len(ordered) / 3))
    best, rest = ordered[:num_each], ordered[num_each:]
    worst = rest[max(len(rest) - num_each, 0) :]
    between = rest[: len(rest) - len(worst)]
    start = max(len(ordered) // 2 - len(best) - num_each // 2, 0)
    start = min(start, max(len(between) - num_each, 0))
    return {"best": best, "median": between[start : start + num_each], "worst": worst}


def example_picture(image: JudgedImage) -> Picture:
    """The image with its true boxes in green and the made ones in magenta."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(read_image(image.path, image.max_pixel_value))
    scale = _TILE_PX / max(picture.size)
    picture = picture.resize((max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)))
    draw = ImageDraw.Draw(picture)
    for boxes, color in ((image.true, TRUE_COLOR), (image.made, MADE_COLOR)):
        for x0, y0, x1, y1 in (boxes * scale).tolist():
            edges = (x0, y0, max(x1 - 1, x0), max(y1 - 1, y0))
            draw.rectangle(edges, outline=_HALO_COLOR, width=4)
            draw.rectangle(edges, outline=color, width=3)
    made = "no box was made" if not len(image.made) else f"made and true boxes, IoU {image.iou:.2f}"
    return jpeg_picture(np.asarray(picture), f"{image.class_name}: {made}")


def _survival_lines(axes: Any, own: ClassQuality, images: Mapping[str, Sequence[JudgedImage]]) -> None:
    """The lines of one class, the references behind."""
    judged = {name: of_class(all_classes, own.name) for name, all_classes in images.items()}
    boxes = [(method.name, method.box) for method in own.methods if method.box is not None]
    for (name, box), style in zip(boxes, _REFERENCE_STYLES, strict=True):
        placed = placed_images(next(iter(judged.values())), box)
        axes.step(*_survival(placed), style, color=FAINT, linewidth=1.6, label=name)
    for number, (name, rows) in enumerate(judged.items()):
        axes.step(*_survival(rows), color=_METHOD_COLORS[number % len(_METHOD_COLORS)], linewidth=2, label=name)


def _survival(images: Sequence[JudgedImage]) -> tuple[np.ndarray, np.ndarray]:
    """x and y of a step line with steps before the points: the share y of the images has an IoU of at least x."""
    ious = np.sort([image.iou for image in images])
    share = 1.0 - np.arange(len(ious)) / len(ious)
    return np.concatenate([[0.0], ious, [1.0]]), np.concatenate([[1.0], share, [0.0]])
