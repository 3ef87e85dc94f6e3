"""Class-aware batches: P classes with K different images each, all classes equally often."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from care_tf.errors import InputError


def draw_class_aware_epoch(
    labels: npt.ArrayLike, batch_size: int, images_per_class: int, rng: np.random.Generator
) -> np.ndarray:
    """Batches of P classes with K different images each, in which all classes occur equally often.

    Classes and the images of each class are cycled through fresh permutations: over an epoch two classes differ by
    one batch at most, two images of a class by one draw at most, and no class runs out.

    Args:
      labels: int (n,), the class of each image, 0..C-1; K images or more of every class.
      batch_size: P * K, with P in 2..C.
      images_per_class: K.
      rng: Where randomness comes from.

    Returns:
      int64 (ceil(n / batch_size) * batch_size,): each block of batch_size is a batch, classes one after the other.

    Source: Shen et al. 2016 (Relay backpropagation) for the two cycled lists, of classes and of a class's images;
      Hermans et al. 2017 for batches of P classes with K images.
    """
    labels = np.asarray(labels)
    num_batches = math.ceil(len(labels) / batch_size)
    classes = _cycled_groups(np.unique(labels), num_batches, batch_size // images_per_class, rng)
    drawn = np.empty((*classes.shape, images_per_class), np.int64)
    for label in np.unique(labels):
        here = classes == label
        drawn[here] = _cycled_groups(np.flatnonzero(labels == label), here.sum(), images_per_class, rng)
    return drawn.reshape(-1)


def check_class_aware(class_counts: Mapping[str, int], batch_size: int, images_per_class: int) -> None:
    """Refuses what no batch can hold: P * K = batch_size, 2 <= P <= C, 2 <= K <= images of the rarest class.

    Args:
      class_counts: Class name -> number of images, in any order.
      batch_size: P * K.
      images_per_class: K.

    Raises:
      InputError: One of the rules does not hold; the message says which values would do.
    """
    num_classes = len(class_counts)
    rarest, smallest = min(class_counts.items(), key=lambda item: item[1])
    if isinstance(images_per_class, bool) or not isinstance(images_per_class, int) or images_per_class < 2:
        problem = f"images_per_class must be a whole number, at least 2. Received {images_per_class!r}"
    elif images_per_class > smallest:
        images = "image" if smallest == 1 else "images"
        problem = (
            f"class {rarest} has {smallest} {images}, and images_per_class={images_per_class} needs "
            f"{images_per_class} different ones of every class"
        )
    elif batch_size % images_per_class:
        problem = f"batch_size={batch_size} is not a multiple of images_per_class={images_per_class}"
    elif not 2 <= batch_size // images_per_class <= num_classes:
        problem = (
            f"batch_size={batch_size} with images_per_class={images_per_class} asks for "
            f"{batch_size // images_per_class} classes per batch, and there must be 2 to {num_classes}"
        )
    else:
        return
    advice = _what_would_do(num_classes, smallest, batch_size, images_per_class)
    raise InputError(f"Class-aware batches: {problem}; {advice}.")


def _what_would_do(num_classes: int, smallest: int, batch_size: int, images_per_class: int) -> str:
    if num_classes < 2 or smallest < 2:
        return "they take at least two classes, with at least two images each: add images, or leave the class out"
    fitting = [k for k in range(2, smallest + 1) if batch_size % k == 0 and 2 <= batch_size // k <= num_classes]
    advice = [f"with batch_size={batch_size}, images_per_class may be {_either(fitting)}"] if fitting else []
    is_possible = images_per_class in range(2, smallest + 1)
    kept = images_per_class if is_possible else smallest
    if is_possible or not fitting:
        sizes = [kept * p for p in range(2, num_classes + 1)]
        advice.append(f"with images_per_class={kept}, batch_size may be {_either(sizes)}")
    return "; ".join(advice)


def _either(numbers: Sequence[int]) -> str:
    *others, last = map(str, numbers)
    return f"{', '.join(others)} or {last}" if others else last


def _cycled_groups(members: np.ndarray, num_groups: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """(num_groups, size) of members cycled through fresh permutations, all different within a group.

    A group across the seam of two permutations takes what is left of the first; the second is one of those in which
    none of these comes again within the group.
    """
    groups = np.empty((num_groups, size), np.int64)
    left = rng.permutation(members)
    for group in groups:
        if len(left) < size:
            others = rng.permutation(np.setdiff1d(members, left))
            missing = size - len(left)
            later = rng.permutation(np.concatenate([left, others[missing:]]))
            left = np.concatenate([left, others[:missing], later])
        group[:] = left[:size]
        left = left[size:]
    return groups
