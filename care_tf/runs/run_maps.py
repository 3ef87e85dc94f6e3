"""Attention maps of several runs on the same images, in columns beside the image with its box."""

import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from care_tf.data import Manifest
from care_tf.data.class_focus import rarest_class
from care_tf.data.image_identity import overlap
from care_tf.errors import InputError, did_you_mean
from care_tf.evaluation.map_tiles import image_tile, map_tile
from care_tf.evaluation.picture_grid import Tile, short_name, write_picture_grid
from care_tf.images.decoding import corrupt_files_refused
from care_tf.images.outside_choice import CROP
from care_tf.images.resize_choice import STRETCH
from care_tf.runs._example_maps import maps_and_classes, prepared_inputs, read_images, selected_rows
from care_tf.runs._folder import LoadedRun, input_names, load_run
from care_tf.runs._seen_images import seen_rows


@corrupt_files_refused()
def write_run_maps(
    folders: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    images: Sequence[str] = (),
    manifest: str | os.PathLike | None = None,
    split: str | None = None,
    folds: Sequence[str] | None = None,
    num_images: int = 6,
    titles: Sequence[str] | None = None,
) -> Manifest:
    """Writes the true class's attention maps of several runs, a row an image, a column a run, as one PNG file.

    Below a map: the class that the run predicts, the share of the map inside the box, and whether the run was trained
    or validated on the image or its group, or that this can no longer be told.

    Args:
      folders: Finished runs with the same classes.
      output: The PNG file.
      images: Names of images in the manifest, with or without folder and ending; none: the rarest class's with boxes,
        in the order of their names.
      manifest, split, folds: Where the images are looked up; None takes what the first run is tested on.
      num_images: How many, where `images` names none.
      titles: What stands above the runs' columns; None takes the runs' own titles.

    Returns:
      The rows shown.

    Raises:
      InputError: A folder is not a finished run, classes or frames differ, an image is not there or its name is not
        unique, or no image has a box.
    """
    if not folders:
        raise InputError("Maps need at least one run folder. Received none.")
    rows: Manifest | None = None
    columns: list[list[Tile]] = []
    names = []
    for folder in folders:
        keras.backend.clear_session()
        run = load_run(folder)
        if rows is None:
            rows = _chosen(selected_rows(run, "test", manifest, split, folds, input_names(folders)), images, num_images)
            shown, masks, _ = read_images(run, rows)
            shown = shown.round().astype(np.uint8)
            columns.append(_image_column(rows, shown, masks))
            frame = _frame_of(run)
        elif _frame_of(run) != frame:
            raise InputError(
                f"Runs must show images in one frame, to be laid side by side. Received {frame} in {folders[0]} and "
                f"{_frame_of(run)} in {folder}. Show them one by one."
            )
        elif run.class_names != rows.class_names:
            raise InputError(
                f"Runs must have the same classes. Received {', '.join(rows.class_names)} in {folders[0]} and "
                f"{', '.join(run.class_names)} in {folder}."
            )
        columns.append(_map_column(run, rows, shown, masks))
        names.append(run.config.title or Path(folder).name)
    assert rows is not None
    write_picture_grid(output, ["image and box", *(titles or names)], list(zip(*columns, strict=True)))
    return rows


def _frame_of(run: LoadedRun) -> str:
    """What of an image is where in a run's maps, which may have any size."""
    end = ", cropped to their boxes" if run.config.data.test_reading["outside_boxes"] == CROP else ""
    if run.config.data.resize == STRETCH:
        return f"stretched images{end}"
    return "images padded to {} x {} px".format(*run.image_size) + end


def _chosen(rows: Manifest, images: Sequence[str], num_images: int) -> Manifest:
    if images:
        return rows.subset([_row_of(rows, name) for name in images])
    with_box = rows.subset(np.flatnonzero(rows.has_boxes))
    if len(with_box) == 0:
        raise InputError(f"No image of {rows.source} that the run is tested on has a box. Name some with --images.")
    rarest = rarest_class(rows.class_counts, present=with_box.class_counts)
    own = [i for i, label in enumerate(with_box.labels) if with_box.class_names[label] == rarest]
    return with_box.subset(sorted(own, key=lambda index: with_box.image_paths[index])[:num_images])


def _row_of(rows: Manifest, name: str) -> int:
    # As the manifest spells it, and as the shell completes it.
    places = {os.path.abspath(os.path.join(folder, name)) for folder in (os.path.dirname(rows.source), "")}
    found = [
        index
        for index, path in enumerate(rows.image_paths)
        if name in (os.path.basename(path), Path(path).stem) or os.path.abspath(path) in places
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"An image's name must be unique. Received {name!r}, which {len(found)} images have.")
    raise InputError(
        f"{name!r} is not among the {len(rows)} images looked at, of {rows.source}."
        f"{did_you_mean(name, [Path(path).stem for path in rows.image_paths])}"
    )


def _image_column(rows: Manifest, images: np.ndarray, masks: np.ndarray) -> list[Tile]:
    captions = [
        f"{rows.class_names[label]}  {short_name(Path(path).stem)}"
        for label, path in zip(rows.labels, rows.image_paths, strict=True)
    ]
    return [image_tile(image, mask, caption) for image, mask, caption in zip(images, masks, captions, strict=True)]


def _map_column(run: LoadedRun, rows: Manifest, images: np.ndarray, masks: np.ndarray) -> list[Tile]:
    pixels, _, labels = read_images(run, rows)
    maps, predicted = maps_and_classes(run, prepared_inputs(run, rows, pixels), labels)
    notes = [[word] if word else [] for word in _seen(run, rows)]
    tiles = zip(images, maps, masks, predicted, notes, strict=True)
    return [map_tile(*tile) for tile in tiles]


def _seen(run: LoadedRun, rows: Manifest) -> list[str]:
    """Of each image, whether the run was trained or validated on it or its group; "" where it was not."""
    known, doubt = seen_rows(run)
    if known is None or doubt:
        return ["unknown whether trained on it"] * len(rows)
    parts = {"validated": known.validation, "trained": known.train}
    found = {verb: overlap(rows, part) for verb, part in parts.items() if part is not None}
    words = np.full(len(rows), "", object)
    for kind in ("groups", "images"):  # what is said last stays
        for verb, of_part in found.items():
            words[getattr(of_part, kind)] = f"{verb} on it" if kind == "images" else f"{verb} on its group"
    return words.tolist()
