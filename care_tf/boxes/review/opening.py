"""From a manifest on disk to a review: what is asked, in which order, and what was decided before."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from care_tf.boxes.box_details import details_path
from care_tf.boxes.review._decisions import decision_of
from care_tf.boxes.review._doubt import Doubt, geometric_doubt, read_details
from care_tf.boxes.review._session import ReviewSession, file_version
from care_tf.data.manifest import Manifest, read_manifest
from care_tf.errors import InputError
from care_tf.file_work import for_each_file
from care_tf.images.header import read_image_header

ORDERS = ("doubt", "manifest")
OUTPUT_SUFFIX = ".reviewed.csv"


def open_review(
    manifest_path: str | os.PathLike,
    output: str | os.PathLike | None = None,
    *,
    classes: Sequence[str] | None = None,
    order: str = "doubt",
    max_pixel_value: int | None = None,
) -> ReviewSession:
    """Opens a review of a manifest's boxes, or continues one.

    The manifest is read and never written. The output holds all its rows, with boxes and `box_source` of the reviewed
    images as they were decided. Where the output exists, its reviewed rows are the decisions of an earlier sitting;
    everything else comes from the manifest again, so boxes may be made anew between two sittings.

    Args:
      manifest_path: The CSV file with the proposed boxes. Images with a mask instead of boxes are left out of the
        review and stay as they are.
      output: The CSV file to write; by default `manifest.reviewed.csv` beside `manifest.csv`.
      classes: Names of the classes to review; by default those in which an image has a box.
      order: "doubt" (most doubtful first: by `manifest.details.csv` where it knows the image, else by the shape of
        the boxes) or "manifest".
      max_pixel_value: As of `Manifest`.

    Returns:
      The session.

    Raises:
      InputError: A file is bad, nothing is there to review, or writing `output` would lose something.
    """
    manifest_path = Path(manifest_path)
    output = manifest_path.with_suffix(OUTPUT_SUFFIX) if output is None else Path(output)
    if order not in ORDERS:
        raise InputError(f"The order must be one of {', '.join(ORDERS)}. Received {order!r}.")
    if output.resolve() == manifest_path.resolve():
        raise InputError(f"{output} is the manifest itself, which a review never changes; choose another output.")
    manifest = read_manifest(manifest_path, max_pixel_value=max_pixel_value)
    version = file_version(output)
    decided = _earlier_decisions(manifest, output) if output.exists() else {}
    asked = _asked_images(manifest, classes)
    doubts = _doubts(manifest, asked, details_path(manifest_path))
    # Sorting is stable: images of equal doubt keep the manifest's order.
    numbers = sorted(asked, key=lambda number: -doubts[number].value) if order == "doubt" else asked
    session = ReviewSession(manifest, [(number, doubts[number]) for number in numbers], output, decided=decided)
    # Opening a large manifest takes a while; what another review decided meanwhile would be overwritten.
    if file_version(output) != version:
        raise InputError(f"{output} changed while it was read; end the other review of it and start this one again.")
    return session


def _asked_images(manifest: Manifest, classes: Sequence[str] | None) -> list[int]:
    """Positions of the images to review, in the manifest's order."""
    if classes is None:
        labels = {int(label) for label, boxes in zip(manifest.labels, manifest.boxes, strict=True) if len(boxes)}
        if not labels:
            raise InputError(
                f"No image of {manifest.source} has a box; make boxes first, or name the classes to draw boxes for "
                f"(of {', '.join(manifest.class_names)})."
            )
    else:
        unknown = sorted(set(classes) - set(manifest.class_names))
        if unknown or not classes:
            raise InputError(
                f"classes to review must be some of {', '.join(manifest.class_names)}. Received {', '.join(classes)}."
            )
        labels = {manifest.class_names.index(name) for name in classes}
    asked = [i for i, label in enumerate(manifest.labels) if int(label) in labels and not manifest.mask_paths[i]]
    if not asked:
        raise InputError(f"All images of these classes in {manifest.source} have a mask; a review is of boxes only.")
    return asked


def _doubts(manifest: Manifest, numbers: Sequence[int], details: Path) -> dict[int, Doubt]:
    known = read_details(details) if details.exists() else {}

    def judge(number: int) -> Doubt:
        path, boxes = manifest.image_paths[number], manifest.boxes[number]
        if path in known:
            return known[path]
        if not len(boxes):  # before the header is read: most images of a large manifest may have none
            return geometric_doubt(boxes, 1, 1)
        header = read_image_header(path)
        return geometric_doubt(boxes, header.width, header.height)

    return dict(zip(numbers, for_each_file(judge, numbers, where=manifest.source), strict=True))


def _earlier_decisions(manifest: Manifest, output: Path) -> dict[int, tuple[np.ndarray, str]]:
    """The reviewed rows of an output, by position in the manifest; refuses to lose any of them."""
    before = read_manifest(output)
    reviewed = [i for i, source in enumerate(before.box_sources) if decision_of(source)]
    if not reviewed:
        raise InputError(
            f"{output} exists and holds no reviewed image, so it is no output of a review; choose another output."
        )
    position = {path: i for i, path in enumerate(manifest.image_paths) if not manifest.mask_paths[i]}
    lost = [before.image_paths[i] for i in reviewed if before.image_paths[i] not in position]
    if lost:
        raise InputError(
            f"{output} holds decisions about {len(lost)} images that {manifest.source} does not have, or has with a "
            f"mask, and they would be lost, such as {Path(lost[0]).name}; choose another output."
        )
    return {position[before.image_paths[i]]: (before.boxes[i], before.box_sources[i]) for i in reviewed}
