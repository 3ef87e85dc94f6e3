"""Predictions of many images as a folder: tables, pictures and a page to look at, made in pieces and continued."""

import collections
import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from care_tf.box_geometry import shortest
from care_tf.csv_files import write_table
from care_tf.errors import InputError, clause, did_you_mean
from care_tf.evaluation.map_overlay import resized
from care_tf.file_work import map_files
from care_tf.files import atomic_path, file_state
from care_tf.problems import listed
from care_tf.progress_journal import ProgressJournal, journal_path
from care_tf.serving._heatmap import heatmap
from care_tf.serving._image_list import PREDICTIONS, find_images
from care_tf.serving._prediction_page import HEATMAP, THUMBNAIL, ShownImage, write_page
from care_tf.serving._predictor import BadImage, ImageFile, Prediction, Predictor
from care_tf.serving._reading_warnings import reading_warnings

BAD_IMAGES, PAGE = "bad_images.csv", "index.html"

_Entry = dict[str, Any]  # an image's line in the journal: with its probabilities and picture, or with the reason


def predict_folder(
    model: Predictor,
    words: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    *,
    sort_by: str | None = None,
    heatmaps: bool = True,
    batch_size: int = 32,
) -> str:
    """Predicts images into a folder, which a later call adds to.

    Writes predictions.csv, bad_images.csv (what could not be read, and why), heatmaps/ (the predicted class's
    attention and its box), thumbnails/ and index.html. Images that are done and unchanged are not predicted again;
    those that could not be read are tried again.

    Args:
      model: Of `care_tf.serving.load`.
      words: Files, folders, patterns, text files of paths, or CSV files with a column `image`.
      output: The folder: new, empty, or with predictions of the same model.
      sort_by: The class by whose probability the page is sorted; None: the one in focus in training, or the last.
      heatmaps: Whether to draw them.
      batch_size: Images per batch.

    Returns:
      What was done, for people.

    Raises:
      InputError: A word means nothing, the folder holds something else, the class is unknown, the model takes inputs
        that the images come without, or no image can be read.
    """
    output = Path(output)
    sorted_by, why = _sorting(model, sort_by)
    found = find_images(words, [encoding.name for encoding in model.inputs])
    model.check_cells(found.images)
    _check_output(output)
    other = f"{output} holds predictions of another model"
    with ProgressJournal(output / PREDICTIONS, {"model_sha256": model.sha256}, other) as journal:
        entries = {entry["image"]: entry for entry in journal.entries}
        todo = [image for image in found.images if not _is_done(entries.get(image.path), image, output, heatmaps)]
        num_done = len(found.images) - len(todo)
        with _first_warning_shown():
            for entry in _new_entries(model, todo, entries, output, heatmaps, batch_size, num_done):
                journal.append(entry)
                entries[entry["image"]] = entry
        good = [entry for entry in entries.values() if "reason" not in entry]
        bad = [entry for entry in entries.values() if "reason" in entry]
        write_table(output / BAD_IMAGES, [("image", "reason"), *([_relative(e, output), e["reason"]] for e in bad)])
        if not good:
            raise InputError(f"None of the {len(bad)} images could be read; the first: {clause(bad[0]['reason'])}.")
        calls = _calls(model, good)
        _write_predictions(model, good, calls, output)
        shown = [_shown(entry, None if calls is None else calls[row], output) for row, entry in enumerate(good)]
        write_page(output / PAGE, shown, model.class_names, sorted_by, why, num_bad=len(bad))
    return "\n".join(_summary(len(todo), num_done, good, bad, found.left_out, f"{sorted_by}, {why}", output))


def _sorting(model: Predictor, sort_by: str | None) -> tuple[str, str]:
    """The class to sort by, and why it is that one."""
    if sort_by is None:
        if model.focus_class is not None:
            return model.focus_class, "the class in focus in training"
        return model.class_names[-1], "the last class; the model does not say which is rare"
    if sort_by not in model.class_names:
        raise InputError(
            f"--sort-by must be one of {', '.join(model.class_names)}. Received {sort_by}."
            f"{did_you_mean(sort_by, model.class_names)}"
        )
    return sort_by, "as asked for"


def _check_output(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise InputError(f"The output must be a folder. Received {output}, a file.")
    if output.exists() and any(output.iterdir()) and not journal_path(output / PREDICTIONS).exists():
        raise InputError(
            f"The output must be a new or empty folder, or one with predictions. Received {output}, which holds "
            "something else. Choose another output."
        )


def _is_done(entry: _Entry | None, image: ImageFile, output: Path, heatmaps: bool) -> bool:
    if entry is None or "reason" in entry or entry["cells"] != dict(image.cells):
        return False
    pictures = [THUMBNAIL, HEATMAP] if heatmaps else [THUMBNAIL]
    is_same = (entry["size"], entry["modified_ns"]) == file_state(image.path)
    return is_same and all((output / picture.format(entry["picture"])).exists() for picture in pictures)


def _new_entries(
    model: Predictor,
    todo: Sequence[ImageFile],
    entries: Mapping[str, _Entry],
    output: Path,
    heatmaps: bool,
    batch_size: int,
    num_done: int,
) -> Iterator[_Entry]:
    """Predicts images and writes their pictures, batch by batch."""
    from tqdm import tqdm

    names = _PictureNames(entries.values())
    batches = model.batches(todo, attention=heatmaps, batch_size=batch_size, thumbnail=resized)
    with tqdm(total=len(todo) + num_done, initial=num_done, desc="predict", unit="image", disable=not todo) as progress:
        for batch in batches:
            named = [(each, names.of(each.image.path, entries)) for each in batch]
            for entry in map_files(lambda pair: _entry(*pair, output), named):
                if isinstance(entry, InputError):
                    raise entry
                yield entry
            progress.update(len(batch))


class _PictureNames:
    """A name for each image's pictures: its file's, with a number where several images have one name."""

    def __init__(self, entries: Iterable[_Entry]):
        self._taken = {entry["picture"] for entry in entries if "picture" in entry}
        self._numbers: collections.Counter[str] = collections.Counter()

    def of(self, path: str, entries: Mapping[str, _Entry]) -> str:
        if "picture" in entries.get(path, {}):
            return entries[path]["picture"]
        file = Path(path)
        stem = name = file.stem if file.suffix[1:].isalpha() else file.name
        while name in self._taken:
            self._numbers[stem] += 1
            name = f"{stem}-{self._numbers[stem] + 1}"
        self._taken.add(name)
        return name


def _entry(found: Prediction | BadImage, name: str, output: Path) -> _Entry:
    size, modified_ns = file_state(found.image.path)
    entry: _Entry = {"image": found.image.path, "size": size, "modified_ns": modified_ns}
    if isinstance(found, BadImage):
        return {**entry, "reason": found.reason}
    assert found.thumbnail is not None
    _write_picture(output / THUMBNAIL.format(name), found.thumbnail)
    if found.attention_map is not None:
        _write_picture(output / HEATMAP.format(name), heatmap(found, found.thumbnail))
    probabilities = [shortest(each) for each in found.probabilities.tolist()]
    return {**entry, "cells": dict(found.image.cells), "probabilities": probabilities, "picture": name}


def _write_picture(path: Path, pixels: np.ndarray) -> None:
    from PIL import Image

    with atomic_path(path) as temporary:
        if path.suffix == ".png":  # level 1 takes a quarter of the time for files a fifth larger
            Image.fromarray(pixels).save(temporary, "PNG", compress_level=1)
        else:
            Image.fromarray(pixels).save(temporary, "JPEG", quality=88)


def _calls(model: Predictor, good: Sequence[_Entry]) -> list[list[str]] | None:
    """The classes that each image is called; None where the model has no thresholds."""
    if model.decision is None:
        return None
    is_called = model.decision.calls(np.array([entry["probabilities"] for entry in good], np.float32))
    return [[model.class_names[index] for index in np.flatnonzero(row)] for row in is_called]


def _write_predictions(
    model: Predictor, good: Sequence[_Entry], calls: Sequence[Sequence[str]] | None, output: Path
) -> None:
    header = ["image", *model.class_names, "top_class", "top_probability", "heatmap"]
    rows = []
    for entry in good:
        values = entry["probabilities"]
        top = int(np.argmax(values))
        heatmap = HEATMAP.format(entry["picture"])
        row = [_relative(entry, output), *values, model.class_names[top], values[top]]
        rows.append([*row, heatmap if (output / heatmap).exists() else ""])
    if calls is not None:
        header.append("decision")
        rows = [[*row, ";".join(names)] for row, names in zip(rows, calls, strict=True)]
    write_table(output / PREDICTIONS, [header, *rows])


def _shown(entry: _Entry, calls: Sequence[str] | None, output: Path) -> ShownImage:
    return ShownImage(entry["image"], _relative(entry, output), entry["probabilities"], entry["picture"], calls)


def _relative(entry: _Entry, output: Path) -> str:
    return Path(os.path.relpath(entry["image"], output)).as_posix()


def _summary(
    num_new: int,
    num_done: int,
    good: Sequence[_Entry],
    bad: Sequence[_Entry],
    left_out: collections.Counter[str],
    sorting: str,
    output: Path,
) -> Iterator[str]:
    if left_out:
        kinds = listed([f"{suffix} {count}" for suffix, count in left_out.most_common()], ", ")
        yield f"files of other kinds were left out: {kinds}"
    earlier = f", {num_done} were done already" if num_done else ""
    yield f"{num_new} images read{earlier}; {output} holds predictions of {len(good)}"
    if bad:
        yield f"{len(bad)} could not be read: see {output / BAD_IMAGES}"
    yield f"sorted by {sorting}"
    yield f"wrote {output / PREDICTIONS} and {output / PAGE}"


@contextlib.contextmanager
def _first_warning_shown() -> Iterator[None]:
    """Prints one warning of all that reading thousands of images gives, and how many more there are."""
    with reading_warnings() as texts:
        yield
    if texts:
        more = f"; {len(texts) - 1} more such warnings" if len(texts) > 1 else ""
        print(f"warning: {texts[0]}{more}", file=sys.stderr)
