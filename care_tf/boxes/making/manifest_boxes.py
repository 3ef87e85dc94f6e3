"""Boxes for the chosen classes of a manifest, from any saliency method, at the size of a data set."""

import contextlib
import dataclasses
import importlib
import math
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from care_tf.boxes.box_details import DETAIL_COLUMNS, details_path
from care_tf.boxes.making._result_stream import stream_images
from care_tf.boxes.making.methods import SaliencyMethod
from care_tf.boxes.making.one_image import BoxSettings, ImageResult, ImageTask, Status, pack
from care_tf.csv_files import write_table
from care_tf.data.manifest import Manifest, write_manifest
from care_tf.errors import InputError
from care_tf.files import file_state
from care_tf.progress_journal import ProgressJournal
from care_tf.version import __version__
from care_tf.workers import Workers

# What maps come from, by distribution and module: OpenCV has several distributions of one module.
_PACKAGES = {"numpy": "numpy", "opencv-python-headless": "cv2", "scikit-image": "skimage"}
_IDENTITY = ("image", "group", "class")  # what the journal knows an image by


@dataclasses.dataclass(frozen=True)
class MadeBoxes:
    """A manifest with new boxes and what became of every image that was to get some.

    Args:
      manifest: All rows of the original, in order.
      details: One result per chosen image, in the manifest's order.
      num_resumed: So many of them were taken over from a run that was cut short.
    """

    manifest: Manifest
    details: tuple[ImageResult, ...]
    num_resumed: int = 0

    def rows(self, status: Status) -> list[int]:
        """Rows of the manifest whose image has this status."""
        return [result.row for result in self.details if result.status == status]

    @property
    def all_failed(self) -> bool:
        """Whether there were images, and all of them failed."""
        return bool(self.details) and len(self.rows("failed")) == len(self.details)


def make_boxes(
    manifest: Manifest,
    method: SaliencyMethod,
    settings: BoxSettings | None = None,
    *,
    classes: Sequence[str],
    split: str | None = None,
    folds: Iterable[str | int] | None = None,
    existing: Literal["replace", "keep"] = "replace",
    workers: Workers | None = None,
    maps_folder: str | os.PathLike | None = None,
    output: str | os.PathLike | None = None,
) -> MadeBoxes:
    """Makes boxes for some images of a manifest; all its other rows stay as they are.

    A chosen image gets the boxes that its map shows, `box_source` the method's name, and no mask. Where nothing is
    found or something fails, it is left without boxes and mask, so that no boxes of two kinds mix unseen. The result
    is the same whatever the number of workers, and whether or not the run was cut short in between; for networks as far
    as TensorFlow gives the same numbers on each machine.

    Args:
      manifest: The images; its own files are only read.
      method: See `methods.get_method`.
      settings: How maps become boxes; None takes the defaults.
      classes: Images of these classes are chosen.
      split: Only this split's; None: all.
      folds: Only these folds'; None: all.
      existing: A chosen image that has boxes or a mask: "replace" them, or "keep" them and leave the image out.
      workers: Who does the work; None: one process per core of this machine.
      maps_folder: Where to put the maps as 8-bit PNG, IMAGE.png in the images' own folders; None: nowhere. A resumed
        run takes existing maps as its own: one folder for one method.
      output: The manifest to write, and beside it NAME.details.csv. Progress is kept in a hidden file beside it until
        then: after a kill the same call continues, and repeats only the images that failed or changed. None: nothing
        is written.

    Returns:
      The new manifest and the details.

    Raises:
      InputError: An unknown class, split or fold, no such image, an output that is the manifest or another run's, a
        `max_pixel_value` that is not the method's, or every image failed.
    """
    settings, workers = settings or BoxSettings(), workers or Workers()
    _check_pixel_range(manifest, method)
    tasks = _image_tasks(manifest, _chosen_rows(manifest, classes, split, folds, existing), maps_folder)
    packed = pack(method, settings)
    if output is None:
        return _made(manifest, method, _run(tasks, {}, packed, workers, None))
    _check_output(manifest, Path(output))
    with ProgressJournal(output, _fingerprint(method, settings, manifest.max_pixel_value)) as journal:
        if journal.changes:
            print(f"starting anew, since settings have changed: {'; '.join(journal.changes)}", file=sys.stderr)
        finished = _finished(tasks, journal)
        made = _made(manifest, method, _run(tasks, finished, packed, workers, journal), len(finished))
        _write(made, Path(output))
        journal.remove()
    if made.all_failed:
        num_images, first = len(made.details), made.details[0].message
        error = first if first.endswith((".", "?")) else f"{first}."
        raise InputError(f"All {num_images} images failed, so {output} was not written; the first: {error}")
    return made


def _check_pixel_range(manifest: Manifest, method: SaliencyMethod) -> None:
    trained = getattr(method, "max_pixel_value", manifest.max_pixel_value)
    if trained != manifest.max_pixel_value:
        raise InputError(
            f"Images must be read as the network's training images were, with max_pixel_value {trained}. Received "
            f"{manifest.max_pixel_value} for {manifest.source}. "
            + ("Leave --max-pixel-value out." if trained is None else f"Give --max-pixel-value {trained}.")
        )


def _chosen_rows(
    manifest: Manifest,
    classes: Sequence[str],
    split: str | None,
    folds: Iterable[str | int] | None,
    existing: Literal["replace", "keep"],
) -> list[int]:
    """Rows whose images get boxes; arguments as for `make_boxes`."""
    if existing not in ("replace", "keep"):
        raise InputError(f'existing must be "replace" or "keep". Received {existing!r}.')
    unknown = [name for name in classes if name not in manifest.class_names]
    if unknown or not classes or isinstance(classes, str):
        received = repr(classes) if isinstance(classes, str) or not classes else ", ".join(unknown)
        raise InputError(f"classes must be some of {', '.join(manifest.class_names)}. Received {received}.")
    in_classes = np.isin(manifest.labels, [manifest.class_names.index(name) for name in classes])
    paths = set(manifest.select(split, folds).image_paths)  # no path occurs twice in a manifest
    chosen = in_classes & np.array([path in paths for path in manifest.image_paths], bool)
    if not chosen.any():
        raise InputError(
            f"No image of {', '.join(classes)} is in split {split} and folds {folds} of {manifest.source}."
        )
    return np.flatnonzero(chosen & ~manifest.has_boxes if existing == "keep" else chosen).tolist()


def _image_tasks(manifest: Manifest, rows: Iterable[int], maps_folder: str | os.PathLike | None) -> list[ImageTask]:
    """One task per row. Maps go to IMAGE.png below `maps_folder`, in the images' own folders."""
    # Below the folder that all images share: the same place for an image whichever of them are chosen.
    shared = os.path.commonpath([os.path.dirname(path) for path in manifest.image_paths])
    tasks = []
    for row in rows:
        path = manifest.image_paths[row]
        map_path = "" if maps_folder is None else f"{Path(maps_folder).absolute() / os.path.relpath(path, shared)}.png"
        class_name = manifest.class_names[manifest.labels[row]]
        tasks.append(ImageTask(row, path, manifest.groups[row], map_path, class_name, manifest.max_pixel_value))
    return tasks


def _check_output(manifest: Manifest, output: Path) -> None:
    if output.is_dir():
        raise InputError(f"{output} is a folder; name the new manifest's file, such as {output / 'manifest.csv'}.")
    if output.suffix != ".csv":
        raise InputError(f"A manifest is a .csv file. Received {output}.")
    if manifest.source and os.path.exists(manifest.source):
        for written in (output, details_path(output)):
            same = os.path.realpath(written) == os.path.realpath(manifest.source)
            if same or (written.exists() and os.path.samefile(written, manifest.source)):
                raise InputError(
                    f"{written} must not replace the one it is made from, {manifest.source}; choose another output."
                )


def _fingerprint(method: SaliencyMethod, settings: BoxSettings, max_pixel_value: int | None) -> dict[str, Any]:
    """What maps come from, of which other versions may give other maps, and all settings."""
    return {
        "care_tf": __version__,
        "packages": {name: importlib.import_module(module).__version__ for name, module in _PACKAGES.items()},
        "method": method.name,
        "method_settings": dict(method.settings),
        "box_settings": dataclasses.asdict(settings),
        **({} if max_pixel_value is None else {"max_pixel_value": max_pixel_value}),
    }


def _finished(tasks: Sequence[ImageTask], journal: ProgressJournal) -> dict[int, ImageResult]:
    """The journal's results for images that are still the same, by row. What failed is to be tried again."""
    entries = {tuple(entry.get(key) for key in _IDENTITY): entry for entry in journal.entries}
    finished = {}
    for task in tasks:
        entry = entries.get((task.image_path, task.group, task.class_name))
        if entry is None or entry["status"] == "failed" or (task.map_path and not os.path.exists(task.map_path)):
            continue
        if (entry["size"], entry["modified_ns"]) == file_state(task.image_path):
            values = {key: value for key, value in entry.items() if key not in _IDENTITY}
            finished[task.row] = ImageResult(**{**values, "row": task.row})
    return finished


def _run(
    tasks: list[ImageTask],
    finished: dict[int, ImageResult],
    packed: bytes,
    workers: Workers,
    journal: ProgressJournal | None,
) -> tuple[ImageResult, ...]:
    """All results in the order of the tasks; a new one is in the journal as soon as it is there."""
    from tqdm import tqdm

    results = dict(finished)
    todo = {task.row: task for task in tasks if task.row not in finished}
    with (
        contextlib.closing(stream_images(packed, list(todo.values()), workers)) as stream,
        tqdm(total=len(tasks), initial=len(finished), desc="boxes", unit="image", disable=not tasks) as progress,
    ):
        for result in stream:
            results[result.row] = result
            if journal is not None:
                task = todo[result.row]
                identity = zip(_IDENTITY, (task.image_path, task.group, task.class_name), strict=True)
                entry = {**dict(identity), **dataclasses.asdict(result)}
                journal.append({**entry, "doubt": None if math.isnan(result.doubt) else result.doubt})
            progress.update()
    return tuple(results[task.row] for task in tasks)


def _made(
    manifest: Manifest, method: SaliencyMethod, results: tuple[ImageResult, ...], num_resumed: int = 0
) -> MadeBoxes:
    boxes, masks, sources = list(manifest.boxes), list(manifest.mask_paths), list(manifest.box_sources)
    for result in results:
        boxes[result.row] = np.array(result.boxes, np.float32).reshape(-1, 4)
        masks[result.row] = ""
        sources[result.row] = method.name if result.boxes else ""
    new = dataclasses.replace(manifest, boxes=tuple(boxes), mask_paths=tuple(masks), box_sources=tuple(sources))
    return MadeBoxes(new, results, num_resumed)


def _write(made: MadeBoxes, output: Path) -> None:
    """The details and the manifest; where every image failed, no manifest, and one that is there keeps its details."""
    if not (made.all_failed and output.exists()):
        _write_details(made, output)
    if not made.all_failed:
        write_manifest(made.manifest, output)


def _write_details(made: MadeBoxes, output: Path) -> None:
    folder = output.absolute().parent
    rows: list[Sequence[Any]] = [DETAIL_COLUMNS]
    for result in made.details:
        image = Path(os.path.relpath(made.manifest.image_paths[result.row], folder)).as_posix()
        doubt = "" if result.status == "failed" else f"{result.doubt:.4f}"
        rows.append((image, result.status, len(result.boxes), doubt, f"{result.seconds:.3f}", result.message))
    write_table(details_path(output), rows)
