"""The rows that a run trains and validates on."""

import dataclasses
import warnings

import numpy as np

from care_tf.box_geometry import randomly_placed_boxes, scale_boxes
from care_tf.data.input_encoding import InputEncoding, encoded_inputs, fit_input_encodings
from care_tf.data.manifest import Manifest, read_manifest
from care_tf.errors import InputError
from care_tf.images.header import read_image_header
from care_tf.losses import OutsidePerturbation
from care_tf.runs._box_share import draw_box_share
from care_tf.runs._changed_images import check_changed_alike, check_changed_training
from care_tf.runs._name_draw import name_generator, own_name
from care_tf.runs.config import RunConfig, Selection


@dataclasses.dataclass(frozen=True)
class TrainingRows:
    """The rows of each part of the data, all with the same class order; no validation where there is None.

    `inputs` says how further columns are encoded for the network.
    """

    train: Manifest
    validation: Manifest | None
    inputs: tuple[InputEncoding, ...] = ()

    def fingerprints(self) -> dict[str, str]:
        """What a run keeps to tell later whether these are the rows that it was trained on."""
        fingerprints = {"data_fingerprint": self.train.fingerprint()}
        if self.validation is not None:
            fingerprints["validation_fingerprint"] = self.validation.fingerprint()
        return fingerprints


def read_training_rows(config: RunConfig, manifest: Manifest | None = None) -> TrainingRows:
    """Selects the rows to train and validate on, from the manifest where it has been read already.

    Raises:
      InputError: The manifest is bad, a selection is empty or overlaps another, a named class does not exist, a
        further column cannot be encoded for all parts, or images tested are changed so that it tells their class.

    Warns:
      UserWarning: Parts share groups, or a setting cannot do all that it is for with the training images' boxes.
    """
    data = config.data
    if manifest is None:
        manifest = read_manifest(data.manifest, class_names=data.class_names, inputs=list(data.inputs))
    manifest = manifest.with_inputs(data.inputs)  # one that several runs share may have more
    manifest = dataclasses.replace(manifest, **data.test_reading)
    _check_class_names(manifest, data.mask_classes or (), "data.mask_classes")
    _check_class_names(manifest, data.max_images_per_class, "data.max_images_per_class")
    train = select_rows(manifest, data.train, "data.train")
    for name, most in data.max_images_per_class.items():
        train = train.cap_class(name, most, config.seed)
    if data.train_boxes is not None:
        train = train.with_boxes_from(read_manifest(data.train_boxes))
    if data.mask_classes is not None:
        wanted = [train.class_names.index(name) for name in data.mask_classes]
        train = train.with_boxes_where(np.isin(train.labels, wanted))
    if data.train_box_share != 1:
        train = train.with_boxes_where(draw_box_share(train, data.train_box_share, config.seed))
    if data.train_box_scale != 1:
        train = _with_scaled_boxes(train, data.train_box_scale)
    if data.train_box_place == "random":
        train = _with_randomly_placed_boxes(train, config.seed)
    train = dataclasses.replace(train, outside_boxes=data.outside_boxes)
    check_changed_training(config, train)
    _warn_of_one_boxed_class(config, train)
    empty = [name for name, count in train.class_counts.items() if count == 0]
    if empty:
        raise InputError(
            f"The training rows of {data.manifest} have no image of {', '.join(empty)}. Change data.train, or "
            "leave the class out of data.class_names."
        )
    test = select_rows(manifest, data.test, "data.test")
    check_changed_alike(data, test, "data.test")
    _check_disjoint(train, test, "data.train", "data.test")
    kinds = {name: kind for name, kind in data.inputs.items() if kind != "auto"}
    inputs = fit_input_encodings(train, kinds)
    encoded_inputs(test, inputs)  # raises for what training does not have
    if data.validation is None:
        return TrainingRows(train, None, inputs)
    validation = select_rows(manifest, data.validation, "data.validation")
    check_changed_alike(data, validation, "data.validation")
    _check_disjoint(train, validation, "data.train", "data.validation")
    _check_disjoint(validation, test, "data.validation", "data.test")
    encoded_inputs(validation, inputs)
    return TrainingRows(train, validation, inputs)


def select_rows(manifest: Manifest, selection: Selection, where: str) -> Manifest:
    """The rows of a selection; raises an InputError when there are none."""
    rows = manifest.select(split=selection.split, folds=selection.folds)
    if len(rows) == 0:
        raise InputError(
            f"{where} selects no row of {manifest.source}: {selection.model_dump(exclude_none=True)}. The manifest has "
            f"the splits {sorted(set(manifest.splits) - {''})} and the folds {sorted(set(manifest.folds) - {''})}."
        )
    return rows


def _with_scaled_boxes(manifest: Manifest, factor: float) -> Manifest:
    """The same rows with boxes of another size, clipped to their images."""
    _refuse_masks(manifest, "train_box_scale", f"{factor:g}")
    boxes = list(manifest.boxes)
    for row in np.flatnonzero(manifest.has_boxes):
        header = read_image_header(manifest.image_paths[row])
        boxes[row] = scale_boxes(boxes[row], factor, header.width, header.height)
    return dataclasses.replace(manifest, boxes=tuple(boxes))


def _with_randomly_placed_boxes(manifest: Manifest, seed: int) -> Manifest:
    """The same rows with boxes of the same sizes anywhere else; an image's depend on the seed and its own name alone.

    Warns:
      UserWarning: Boxes that leave no other place.
    """
    _refuse_masks(manifest, "train_box_place", "random")
    boxes, num_left = list(manifest.boxes), 0
    for row in np.flatnonzero(manifest.has_boxes):
        header = read_image_header(manifest.image_paths[row])
        rng = name_generator(seed, own_name(manifest.image_paths[row]))
        placed = randomly_placed_boxes(boxes[row], header.width, header.height, rng)
        num_left += int(np.all(placed == boxes[row], axis=1).sum())
        boxes[row] = placed
    if num_left:
        warnings.warn(
            f"{num_left} of {len(manifest.flat_boxes.flat)} training boxes fill their images so far that they have no "
            "other place, and stay",
            UserWarning,
            stacklevel=3,
        )
    return dataclasses.replace(manifest, boxes=tuple(boxes))


def _warn_of_one_boxed_class(config: RunConfig, train: Manifest) -> None:
    loss, boxed = config.care.attention_loss, np.unique(train.labels[train.has_boxes])
    if not (config.supervises_attention and isinstance(loss, OutsidePerturbation) and loss.kind == "swap"):
        return
    if len(boxed) == 1:
        name, chosen = train.class_names[boxed[0]], config.data.mask_classes
        used = "" if chosen is None else f" and name it in data.mask_classes. Received {', '.join(chosen)}"
        warnings.warn(
            f"kind=swap of care.form exchanges what surrounds the boxes of training images, and those of {name} alone "
            f"have boxes: a cue that goes with {name} stays with it. Give every class that the cue tells apart boxes"
            f"{used}.",
            UserWarning,
            stacklevel=3,
        )


def _refuse_masks(manifest: Manifest, setting: str, value: str) -> None:
    num_masks = sum(map(bool, manifest.mask_paths))
    if num_masks:
        raise InputError(
            f"data.{setting} changes boxes, and {num_masks} training images have a mask. "
            f"Received {value}. Leave it out, or name data.train_boxes with boxes."
        )


def _check_class_names(manifest: Manifest, names, where: str) -> None:
    unknown = sorted(set(names) - set(manifest.class_names))
    if unknown:
        raise InputError(
            f"{where} names classes that {manifest.source} does not have: {', '.join(unknown)}. "
            f"Classes: {', '.join(manifest.class_names)}."
        )


def _check_disjoint(first: Manifest, second: Manifest, first_name: str, second_name: str) -> None:
    shared = set(first.image_paths) & set(second.image_paths)
    if shared:
        raise InputError(
            f"{first_name} and {second_name} share {len(shared)} images, for example {sorted(shared)[0]}. Choose "
            "splits or folds that do not overlap."
        )
    torn = sorted((set(first.groups) & set(second.groups)) - {""})
    if torn:
        warnings.warn(
            f"{first_name} and {second_name} share {len(torn)} groups (patients or lesions), for example {torn[0]}: "
            "figures on the second will be too good. Split by group.",
            UserWarning,
            stacklevel=3,
        )
