"""The manifest: one row per image with its class, boxes, group and split; the only description of a data set."""

import collections
import dataclasses
import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from care_tf.box_geometry import shortest
from care_tf.csv_files import parse_columns, relative_to, write_table
from care_tf.data._annotation import annotation_problems
from care_tf.data._image_boxes import ImageBoxes
from care_tf.data._manifest_rows import COLUMNS, ManifestTable, check_class_names, parse_rows, table_in_memory
from care_tf.errors import InputError
from care_tf.images.bit_depth import check_max_pixel_value
from care_tf.images.outside_choice import KEEP, check_outside_boxes
from care_tf.images.resize_choice import STRETCH, check_resize
from care_tf.problems import raise_problems
from care_tf.text_files import read_text


@dataclasses.dataclass(frozen=True, eq=False)
class Manifest:
    """Images with labels and, for some, boxes or a mask. Immutable: every method returns a new manifest.

    Args:
      image_paths: n absolute paths.
      labels: int32 (n,), positions in `class_names`.
      class_names: One name per class, in the order of the labels.
      boxes: n arrays (k,4), half-open pixel boxes x0,y0,x1,y1 in the oriented image; k = 0: none. They become views
        of one float32 array.
      mask_paths: n absolute paths, "" where there is none.
      groups: n patients or lesions, "" where unknown.
      splits: n names such as "train", "" where there is none.
      folds: n names such as "1", "" where there is none.
      box_sources: n names of who drew the boxes, "" where unknown.
      inputs: Column -> n texts, "" where missing: what a network takes beside the image, such as age and sex.
      source: The CSV file or folder this came from, for messages and for paths in `fingerprint`.
      max_pixel_value: The number in 16-bit PNGs that is white, such as 4095 where they hold 12 bits; None takes the
        upper byte of their numbers, with a warning where that leaves images dark. It is not in the CSV.
      resize: How images get the size of a network: "stretch", or "pad", which keeps their proportions, in the middle of
        black. Masks and boxes go with them. It is not in the CSV.
      outside_boxes: What becomes of the part of an image outside its boxes or mask: "keep"; "paint", gray
        (`care_tf.images.outside_boxes.PAINT_LEVEL`); or "crop", the smallest part that holds them all gets the size
        of the network, with its boxes and masks. An image without a box or mask stays as it is. It is not in the CSV.

    Raises:
      InputError: The columns differ in length; two classes have one name; a label is no whole number or outside the
        class list; an image is listed twice, has an invalid box (see `box_problems`), or boxes and a mask: up to 20
        are listed.
    """

    image_paths: tuple[str, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    boxes: Sequence[np.ndarray] = ()
    mask_paths: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    folds: tuple[str, ...] = ()
    box_sources: tuple[str, ...] = ()
    inputs: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    source: str = ""
    max_pixel_value: int | None = None
    resize: str = STRETCH
    outside_boxes: str = KEEP

    def __post_init__(self) -> None:
        check_max_pixel_value(self.max_pixel_value)
        check_resize(self.resize)
        check_outside_boxes(self.outside_boxes)
        num_images = len(self.image_paths)
        labels = _whole_numbers("labels", self.labels)
        boxes = ImageBoxes.of(self.boxes) if len(self.boxes) else ImageBoxes([], np.zeros(num_images))
        object.__setattr__(self, "boxes", self.boxes if boxes is None else boxes)
        for name in _TEXTS:
            if not getattr(self, name):
                object.__setattr__(self, name, ("",) * num_images)
        for name, column in {**{name: getattr(self, name) for name in _PER_IMAGE}, **self.inputs}.items():
            if len(column) != num_images:
                raise InputError(f"{name} needs one entry per image ({num_images}). Received {len(column)}.")
        _check_input_names(self.inputs)
        check_class_names(self.class_names or None)
        if num_images and not (labels.min() >= 0 and labels.max() < len(self.class_names)):
            raise InputError(
                f"labels must be positions in the {len(self.class_names)} class names. "
                f"Received {labels.min()} to {labels.max()}."
            )
        object.__setattr__(self, "labels", labels.astype(np.int32))
        self._check_images()

    def _check_images(self) -> None:
        """What the rows of a CSV are checked for, too; nothing here looks at one image at a time but to report it."""
        problems = []
        if len(set(self.image_paths)) < len(self):
            counts = collections.Counter(self.image_paths)
            problems = [f"image {path} is listed {count} times" for path, count in counts.items() if count > 1]
        for row, texts in annotation_problems(self.boxes, self.mask_paths).items():
            problems += [f"image {self.image_paths[row]}: {text}" for text in texts]
        raise_problems(self.source or "The manifest", problems)

    def __len__(self) -> int:
        return len(self.image_paths)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {count:,}" for name, count in self.class_counts.items())
        images = f"{len(self):,} images, {self.has_boxes.sum():,} with boxes"
        return f"Manifest({self.source or 'in memory'}: {images}; {counts})"

    @property
    def class_counts(self) -> dict[str, int]:
        """Number of images of every class, in the order of `class_names`; 0 included."""
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        return {name: int(count) for name, count in zip(self.class_names, counts, strict=True)}

    @property
    def flat_boxes(self) -> ImageBoxes:
        """`boxes` as they are kept: one array of all of them."""
        return cast(ImageBoxes, self.boxes)

    @property
    def has_boxes(self) -> np.ndarray:
        """bool (n,): the image has at least one box, or a mask file."""
        return (self.flat_boxes.counts > 0) | np.fromiter(map(bool, self.mask_paths), bool, len(self))

    @property
    def image_names(self) -> list[str]:
        """How tables name the images: by their paths from the folder of the CSV that they came from."""
        return list(map(relative_to(Path(self.source).absolute().parent), self.image_paths))

    def subset(self, indices: npt.ArrayLike) -> "Manifest":
        """The images at `indices` (ints, in that order) or where a bool (n,) is True.

        Raises:
          InputError: The bools are not one per image, or an index is no whole number.
        """
        chosen = np.asarray(indices)
        if chosen.dtype == object and chosen.size and all(isinstance(each, (bool, np.bool_)) for each in chosen.flat):
            chosen = chosen.astype(bool)
        if chosen.dtype == bool:
            if chosen.shape != (len(self),):
                raise InputError(
                    f"Bools that choose images must be one per image, of shape ({len(self)},). Received shape "
                    f"{chosen.shape}. Make them from this manifest, or give the images' positions."
                )
            chosen = np.flatnonzero(chosen)
        chosen = _whole_numbers("indices", chosen)
        rows = chosen.tolist()
        columns: dict[str, Any] = {name: _chosen(getattr(self, name), rows) for name in ("image_paths", *_TEXTS)}
        inputs = {name: _chosen(column, rows) for name, column in self.inputs.items()}
        labels, boxes = self.labels[chosen], self.flat_boxes.take(chosen)
        return dataclasses.replace(self, labels=labels, boxes=boxes, inputs=inputs, **columns)

    def select(self, split: str | None = None, folds: Iterable[str | int] | None = None) -> "Manifest":
        """The images of one split and of some folds.

        Args:
          split: A name in `splits`; None takes all.
          folds: Names in `folds`, as text or numbers; None takes all.

        Returns:
          The images that agree with both, in order.

        Raises:
          InputError: A name does not occur, or no image is left.
        """
        keep = np.ones(len(self), bool)
        wanted_folds = None if folds is None else [str(fold) for fold in folds]
        if split is not None:
            keep &= _rows_named("split", [str(split)], self.splits, self.source)
        if wanted_folds is not None:
            keep &= _rows_named("fold", wanted_folds, self.folds, self.source)
        if not keep.any():
            raise InputError(f"No image of {self.source} has split {split} and folds {wanted_folds}.")
        return self.subset(keep)

    def with_inputs(self, names: Iterable[str]) -> "Manifest":
        """The same images with these of their further columns only; raises an InputError where one is missing."""
        missing = [name for name in names if name not in self.inputs]
        if missing:
            raise InputError(f"{self.source} was read without the column {', '.join(missing)}. Read it with inputs=.")
        return dataclasses.replace(self, inputs={name: self.inputs[name] for name in names})

    def without_boxes(self) -> "Manifest":
        """The same images with neither boxes nor masks."""
        return dataclasses.replace(self, boxes=(), mask_paths=(), box_sources=())

    def with_boxes_where(self, keep: np.ndarray) -> "Manifest":
        """The same images, with boxes and masks only where `keep`, bool (n,), is True."""
        kept = keep.tolist()
        return dataclasses.replace(
            self,
            boxes=self.flat_boxes.only(keep),
            mask_paths=tuple(path if own else "" for path, own in zip(self.mask_paths, kept, strict=True)),
            # Who drew boxes that are not used is nothing a result depends on, and not part of the fingerprint.
            box_sources=tuple(source if own else "" for source, own in zip(self.box_sources, kept, strict=True)),
        )

    def with_boxes_from(self, other: "Manifest") -> "Manifest":
        """The same images with the boxes, masks and box sources that another manifest has for them.

        Args:
          other: Has every image of this one, by path; its labels, folds and further images do not count.

        Raises:
          InputError: An image is not in the other manifest.
        """
        row_of = {path: row for row, path in enumerate(other.image_paths)}
        missing = [path for path in self.image_paths if path not in row_of]
        if missing:
            raise InputError(
                f"{other.source} has no row for {len(missing)} of {len(self)} images of {self.source}, for example "
                f"{missing[0]}. Boxes are taken from it by image, so it must list them all, with or without boxes."
            )
        rows = [row_of[path] for path in self.image_paths]
        return dataclasses.replace(
            self,
            boxes=other.flat_boxes.take(np.array(rows, np.int64)),
            mask_paths=_chosen(other.mask_paths, rows),
            box_sources=_chosen(other.box_sources, rows),
        )

    def cap_class(self, name: str, max_images: int, seed: int = 0) -> "Manifest":
        """Keeps at most `max_images` images of class `name`, chosen at random under `seed`; order is kept."""
        if name not in self.class_names:
            raise InputError(f"The classes are {', '.join(self.class_names)}. Received {name!r}.")
        if max_images < 1:
            raise InputError(f"The number of images to keep of class {name} must be at least 1. Received {max_images}.")
        members = np.flatnonzero(self.labels == self.class_names.index(name))
        dropped = np.random.default_rng(seed).permutation(members)[max_images:]
        return self.subset(np.setdiff1d(np.arange(len(self)), dropped))

    def summary(self) -> str:
        """A table to print: images, groups and images with boxes of every class."""
        lines = [f"{'class':<16}{'images':>8}{'groups':>8}{'boxes':>8}"]
        has_boxes = self.has_boxes
        members = [(name, self.labels == label) for label, name in enumerate(self.class_names)]
        for name, rows in [*members, ("all", np.ones(len(self), bool))]:
            num_groups = len(set(itertools.compress(self.groups, rows.tolist())) - {""})
            lines.append(f"{name:<16}{rows.sum():>8}{num_groups:>8}{has_boxes[rows].sum():>8}")
        return "\n".join(lines)

    def fingerprint(self) -> str:
        """sha256 (hex) of all but `source`, to which paths are relative: moving a folder keeps it."""
        names = [self.class_names, *self.inputs] if self.inputs else self.class_names
        digest = hashlib.sha256(json.dumps(names).encode())
        if self.max_pixel_value is not None:
            digest.update(json.dumps(self.max_pixel_value).encode())
        if self.resize != STRETCH:
            digest.update(json.dumps(self.resize).encode())
        if self.outside_boxes != KEEP:
            digest.update(json.dumps(self.outside_boxes).encode())
        for row in _rows(self, _folder_of(self.source)):
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()


# What may be missing -> its column in a file.
_TEXTS = {"mask_paths": "mask", "groups": "group", "splits": "split", "folds": "fold", "box_sources": "box_source"}
_PER_IMAGE = ("image_paths", "labels", "boxes", *_TEXTS)


def read_manifest(
    path: str | os.PathLike,
    *,
    like: Manifest | None = None,
    class_names: Sequence[str] | None = None,
    check_images: bool = True,
    max_pixel_value: int | None = None,
    resize: str | None = None,
    inputs: Sequence[str] = (),
) -> Manifest:
    """Reads and validates a manifest CSV; every bad row is reported with its line number, none is dropped.

    Columns: `image` (path, relative to the CSV), `label` (class name) and, as needed, `boxes` (JSON list of
    [x0, y0, x1, y1] in the image's own pixels), `mask` (path of a PNG), `group`, `split`, `fold`, `box_source`.
    An image has boxes or a mask, not both.

    Args:
      path: The CSV file, UTF-8.
      like: The training manifest, for one that is tested on the same network: gives the class names, and
        `max_pixel_value`, `resize` and `inputs` where they are not given. A class that is missing here would otherwise
        shift the labels of those after it.
      class_names: The classes in the order of the labels; by default the names found, sorted. Name them to fix an
        order of your own, and to have a misspelled label refused.
      check_images: Opens every image's header (not its pixels) to check it and the boxes in it.
      max_pixel_value: As of `Manifest`.
      resize: As of `Manifest`; "stretch" by default.
      inputs: Further columns that a network takes beside the image, such as age and sex; a cell may be empty. See
        `care_tf.data.fit_input_encodings`.

    Returns:
      The manifest, rows in file order.

    Raises:
      InputError: The file or a column is missing, some rows are bad (up to 20 are listed, with the total), or `like`
        stands beside `class_names`.
    """
    path = Path(path)
    reading = _reading(like, class_names, max_pixel_value, resize, inputs)
    problems: list[str] = []
    text, columns = read_text(path, "manifest"), ("image", "label", *reading.inputs)
    cells, lines = parse_columns(text, str(path), columns, problems=problems)
    del text  # as large as what is kept of it
    table = ManifestTable(str(path), path.absolute().parent, cells, "line", lines, problems)
    return _manifest_of(table, str(path.absolute()), reading, check_images)


def further_columns(path: str | os.PathLike) -> list[str]:
    """The columns of a manifest CSV that `read_manifest` reads as `inputs` only.

    Raises:
      InputError: The file or a column is missing, or it is no CSV.
    """
    cells = parse_columns(read_text(path, "manifest"), str(path), ("image", "label"), problems=[]).cells
    return [name for name in cells if name not in COLUMNS]


def manifest_from_rows(
    rows: Any,
    folder: str | os.PathLike = ".",
    *,
    like: Manifest | None = None,
    class_names: Sequence[str] | None = None,
    check_images: bool = True,
    max_pixel_value: int | None = None,
    resize: str | None = None,
    inputs: Sequence[str] = (),
) -> Manifest:
    """A manifest of rows in memory: a pandas frame, or mappings; checked as those of a file.

    Args:
      rows: A pandas `DataFrame`, or one mapping per image, with the columns of `read_manifest`. `boxes` may be lists or
        arrays (k,4) as well as JSON; None and NaN are empty cells.
      folder: What paths are relative to.
      like, class_names, check_images, max_pixel_value, resize, inputs: As of `read_manifest`.

    Returns:
      The manifest, rows in order.

    Raises:
      InputError: A column is missing, or some rows are bad: up to 20 are listed, with the total.

    Example:
      manifest_from_rows([{"image": "1.png", "label": "nevus", "boxes": [[40, 31, 122, 108]]}, ...], "images")
    """
    reading = _reading(like, class_names, max_pixel_value, resize, inputs)
    path = Path(folder).absolute()
    table = table_in_memory(rows, path, ("image", "label", *reading.inputs))
    return _manifest_of(table, str(path), reading, check_images)


class _Reading(NamedTuple):
    """What rows are read with, of the arguments of `read_manifest`."""

    class_names: Sequence[str] | None
    max_pixel_value: int | None
    resize: str
    inputs: Sequence[str]


def _reading(
    like: Manifest | None,
    class_names: Sequence[str] | None,
    max_pixel_value: int | None,
    resize: str | None,
    inputs: Sequence[str],
) -> _Reading:
    """What is given, and else what another manifest was read with."""
    _check_input_names(inputs)
    if like is None:
        return _Reading(class_names, max_pixel_value, resize or STRETCH, inputs)
    if class_names is not None:
        raise InputError("Class names are taken from `like`, or named. Received both. Leave one out.")
    largest = like.max_pixel_value if max_pixel_value is None else max_pixel_value
    return _Reading(like.class_names, largest, resize or like.resize, inputs or tuple(like.inputs))


def _manifest_of(table: ManifestTable, source: str, reading: _Reading, check_images: bool) -> Manifest:
    given, inputs = reading.class_names, reading.inputs
    cells, boxes = parse_rows(table, class_names=given, check_images=check_images, inputs=inputs)
    names = tuple(given) if given is not None else tuple(sorted(set(cells["label"])))
    number_of = {name: number for number, name in enumerate(names)}
    texts: dict[str, Any] = {name: tuple(cells[column]) for name, column in _TEXTS.items()}
    return Manifest(
        image_paths=tuple(cells["image"]),
        labels=np.fromiter(map(number_of.__getitem__, cells["label"]), np.int32, len(cells["label"])),
        class_names=names,
        boxes=boxes,
        inputs={name: tuple(cells[name]) for name in inputs},
        source=source,
        max_pixel_value=reading.max_pixel_value,
        resize=reading.resize,
        **texts,
    )


def write_manifest(manifest: Manifest, path: str | os.PathLike, durable: bool = False) -> None:
    """Writes the CSV that `read_manifest` reads, with paths relative to it; whole or not at all.

    Args:
      manifest: What to write. Class names without an image are not in the file.
      path: The CSV file.
      durable: Waits until the disk has it.
    """
    rows = _rows(manifest, Path(path).absolute().parent)
    write_table(path, itertools.chain([(*COLUMNS, *manifest.inputs)], rows), durable)


def _rows(manifest: Manifest, folder: Path) -> Iterable[list[str]]:
    """The cells of every image in the order of `COLUMNS` and the further inputs, with paths relative to `folder`."""
    relative = relative_to(folder)
    texts = (manifest.groups, manifest.splits, manifest.folds, manifest.box_sources, *manifest.inputs.values())
    for i, (image_path, boxes) in enumerate(zip(manifest.image_paths, manifest.boxes, strict=True)):
        mask_path = manifest.mask_paths[i]
        yield [
            relative(image_path),
            manifest.class_names[manifest.labels[i]],
            json.dumps([[shortest(edge) for edge in box] for box in boxes.tolist()]) if len(boxes) else "",
            relative(mask_path) if mask_path else "",
            *(column[i] for column in texts),
        ]


def _check_input_names(names: Iterable[str]) -> None:
    listed = [names] if isinstance(names, str) else list(names)
    taken = sorted({name for name in listed if name in COLUMNS or listed.count(name) > 1})
    if taken or isinstance(names, str):
        raise InputError(
            f"inputs must be a list of different columns beside {', '.join(COLUMNS)}. Received {', '.join(listed)}."
        )


def _whole_numbers(name: str, values: npt.ArrayLike) -> np.ndarray:
    """int64 of integers, also where they come as floats; a fraction, NaN and infinity are refused."""
    numbers = np.asarray(values)
    try:
        with np.errstate(invalid="ignore"):  # of what is no number: told below
            whole = numbers.astype(np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{name} must be whole numbers. Received values such as {str(values)[:80]}: {error}."
        ) from error
    others = numbers[whole != numbers] if numbers.dtype.kind in "fO" else ()
    if numbers.dtype.kind == "O" and any(isinstance(each, (bool, np.bool_)) for each in numbers.flat):
        raise InputError(f"{name} must be whole numbers. Received bools among them. Give one or the other.")
    if len(others):
        raise InputError(
            f"{name} must be whole numbers. Received {', '.join(map(str, others[:5]))} ({len(others)} such numbers). "
            "Round them yourself, if that is what they mean."
        )
    return whole


def _rows_named(kind: str, wanted: list[str], column: Sequence[str], source: str) -> np.ndarray:
    known = sorted(set(column) - {""})
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        there = f"it has {', '.join(known)}" if known else f"it has no {kind} column"
        raise InputError(f"{source} has no {kind} {', '.join(unknown)}; {there}.")
    return np.fromiter(map(set(wanted).__contains__, column), bool, len(column))


def _chosen(column: Sequence[str], rows: Iterable[int]) -> tuple[str, ...]:
    return tuple(map(column.__getitem__, rows))


def _folder_of(source: str) -> Path:
    path = Path(source).absolute()
    return path.parent if path.suffix else path
