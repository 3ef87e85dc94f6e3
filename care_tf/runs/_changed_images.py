"""Whether images that are changed by their boxes tell their class by the change itself."""

import warnings

import numpy as np

from care_tf.data.manifest import Manifest
from care_tf.errors import InputError
from care_tf.images.outside_choice import KEEP
from care_tf.runs.config import DataConfig, RunConfig


def check_changed_training(config: RunConfig, train: Manifest) -> None:
    """Says what a change of the training images by their boxes does beside what it is meant to do.

    Raises:
      InputError: Images tested are changed by the boxes of all classes, and training ones by those of some.

    Warns:
      UserWarning: The change tells the class, or leaves attention supervision little to do.
    """
    data = config.data
    if data.outside_boxes == KEEP:
        return
    used = train.class_names if data.mask_classes is None else data.mask_classes
    left_out = sorted(set(train.class_names) - set(used))
    if data.changes_tests and left_out:
        raise InputError(
            "data.outside_boxes_in=everywhere changes test images of all classes, so training must use the boxes of "
            f"all, too. Received data.mask_classes without {', '.join(left_out)}. Name all classes, or none."
        )
    if config.supervises_attention:
        warnings.warn(
            f"data.outside_boxes={data.outside_boxes} makes training images gray outside their boxes, where alpha > 0 "
            "teaches attention not to go: it has little left to teach. Use one of them at a time.",
            UserWarning,
            stacklevel=3,
        )
    if told := _unequal_shares(train):
        warnings.warn(
            f"data.outside_boxes={data.outside_boxes} changes training images with a box alone, and classes have boxes "
            f"in different shares ({told}): the change itself tells the class. Give the images of all classes boxes.",
            UserWarning,
            stacklevel=3,
        )


def check_changed_alike(data: DataConfig, rows: Manifest, where: str) -> None:
    """Refuses images to validate or test on that are changed by their boxes where that tells the class.

    Args:
      data: How they are read.
      rows: They, with the boxes that the change goes by.
      where: What selects them, for the message.
    """
    if data.changes_tests and (told := _unequal_shares(rows)):
        raise InputError(
            "data.outside_boxes_in=everywhere changes the images with a box alone, so all classes must have boxes on "
            f"the same share of their images: the change would tell the class. Received {told} of {where} "
            f"({rows.source}). Give the images of all classes boxes, or set data.outside_boxes_in=training."
        )


def _unequal_shares(rows: Manifest) -> str:
    """How many images of each class have a box where that tells the class, else "".

    It does where no share fits all classes to within an image of each, or a class has boxes on none of its images and
    another on all.
    """
    boxed = np.bincount(rows.labels[rows.has_boxes], minlength=len(rows.class_names))
    counts = np.bincount(rows.labels, minlength=len(rows.class_names))
    there = counts > 0
    is_far = ((boxed - 1)[there] / counts[there]).max() > ((boxed + 1)[there] / counts[there]).min()
    is_opposite = (boxed[there] == 0).any() and (boxed[there] == counts[there]).any()
    if not (is_far or is_opposite):
        return ""
    numbers = zip(rows.class_names, boxed.tolist(), counts.tolist(), strict=True)
    return ", ".join(f"{name} {number} of {count}" for name, number, count in numbers if count)
