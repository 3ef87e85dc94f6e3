"""The annotated images that an import takes: those of the manifest, each once, with boxes of the labels wanted."""

import dataclasses
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from care_tf.boxes.exchange._image_names import common_folder, match_image_names
from care_tf.boxes.formats.annotated_image import AnnotatedImage
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError
from care_tf.problems import raise_problems


def rows_of(
    annotations: list[AnnotatedImage], manifest: Manifest, image_root: str | os.PathLike | None
) -> list[int | None]:
    """The manifest's row of every annotated image, None where there is none; at least one."""
    folder = Path(manifest.source)
    roots = [str(folder.parent if folder.suffix else folder)] if manifest.source else []
    roots += [common_folder(manifest.image_paths), str(image_root or "")]
    names = [annotated.name for annotated in annotations]
    rows = match_image_names(names, manifest.image_paths, roots=[root for root in roots if root])
    if all(row is None for row in rows):
        there = f"{Path(manifest.image_paths[0]).name}, ..." if len(manifest) else "no image"
        raise InputError(
            f"None of the {len(names)} annotated images ({names[0]}, ...) is in the manifest, which has {there}."
        )
    return rows


def first_copies(annotations: Sequence[AnnotatedImage], rows: Sequence[int | None]) -> list[tuple[int, AnnotatedImage]]:
    """(row, annotated image) of every image of the manifest that is annotated: of several copies the first."""
    first_of = {row: place for place, row in reversed(list(enumerate(rows)))}
    return [
        (row, annotated)
        for place, (row, annotated) in enumerate(zip(rows, annotations, strict=True))
        if row is not None and place == first_of[row]
    ]


def check_copies(annotations: list[AnnotatedImage], rows: list[int | None]) -> tuple[str, ...]:
    """The names of images with several copies, which must agree: turned or cropped ones do not show the image."""
    copies_of: dict[int, list[AnnotatedImage]] = defaultdict(list)
    for row, annotated in zip(rows, annotations, strict=True):
        if row is not None:
            copies_of[row].append(annotated)
    several = [copies for copies in copies_of.values() if len(copies) > 1]
    problems = [
        f"{', '.join(copy.name for copy in copies)} are copies of one image with other boxes each; export the images "
        "without augmentation"
        for copies in several
        if any(_content(copy) != _content(copies[0]) for copy in copies)
    ]
    raise_problems("the annotation file", problems)
    return tuple(f"{copies[0].name} ({len(copies)} copies)" for copies in several)


def with_labels(
    annotations: list[AnnotatedImage], labels: Sequence[str] | None
) -> tuple[list[AnnotatedImage], Counter[str]]:
    """The images with the boxes of some labels only, and how many boxes others have."""
    if labels is None:
        return annotations, Counter()
    counts = Counter(label for annotated in annotations for label in annotated.labels)
    unknown = sorted(set(labels) - set(counts))
    if unknown:
        known = ", ".join(name or "(no label)" for name in sorted(counts)) or "none"
        raise InputError(f"No box is labeled {', '.join(unknown)}; the labels there are: {known}.")
    result = []
    for annotated in annotations:
        wanted = [label in labels for label in annotated.labels]
        names = tuple(label for label in annotated.labels if label in labels)
        result.append(dataclasses.replace(annotated, boxes=annotated.boxes[np.array(wanted, bool)], labels=names))
    return result, Counter({label: count for label, count in counts.items() if label not in labels})


def check_any_box(annotations: Sequence[AnnotatedImage]) -> None:
    """Refuses annotations without any box, which would take all boxes away."""
    if any(len(annotated.boxes) for annotated in annotations):
        return
    kinds = ", ".join(sorted({kind for annotated in annotations for kind in annotated.ignored})[:5])
    num_bad = sum(len(annotated.bad) for annotated in annotations)
    kinds += f"{', ' if kinds else ''}{num_bad} bad entries" if num_bad else ""
    raise InputError(
        f"The annotations hold no box, so nothing is changed. Received {len(annotations)} images"
        f"{f' with {kinds}' if kinds else ''}. Check that the file has the format it was read as, or name another."
    )


def _content(image: AnnotatedImage) -> tuple:
    boxes = sorted(zip(image.labels, image.boxes.tolist(), strict=True))
    return boxes, image.unit, image.width, image.height, sorted(image.ignored), len(image.bad)
