"""How many images of each class an epoch draws, and the order of epochs that a sampling setting gives."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from care_tf.data._class_aware import check_class_aware, draw_class_aware_epoch
from care_tf.data.manifest import Manifest
from care_tf.errors import InputError, did_you_mean
from care_tf.settings import Choice, Entry, Trait

_BALANCES = frozenset({Trait.BALANCES_CLASSES})

SAMPLING: dict[str, Entry] = {
    "instance_balanced": Entry(),
    "class_balanced": Entry(traits=_BALANCES),
    "square_root": Entry(),
    "progressively_balanced": Entry(),
    "oversample": Entry(traits=_BALANCES),
    "undersample": Entry(traits=_BALANCES),
    "class_aware": Entry(
        arguments={"images_per_class": "K, at least 2", "classes_per_batch": "P, at least 2"},
        one_of=("images_per_class", "classes_per_batch"),
        traits=_BALANCES,
    ),
}
CLASS_AWARE = "class_aware"
CLASS_COUNTS = tuple(name for name in SAMPLING if name != CLASS_AWARE)


def epoch_class_counts(class_counts: npt.ArrayLike, name: str, progress: float = 0.0) -> np.ndarray:
    """How many images of each class one epoch draws.

    instance_balanced       n_c
    class_balanced          n / C
    square_root             n sqrt(n_c) / sum sqrt(n_j)
    progressively_balanced  (1 - t) n_c + t n / C
    oversample              max n_j
    undersample             min n_j

    The first four draw n = sum n_j images, rounded by largest remainders; of equal remainders the first class's.

    Args:
      class_counts: int (C,), n_c, at least 1 each.
      name: One of the above.
      progress: t in [0, 1], the part of the training that is over; for progressively_balanced alone.

    Returns:
      int64 (C,), at least 1 each.

    Raises:
      InputError: The name is unknown, a class has no image, or progress is outside its range.

    Example:
      >>> epoch_class_counts([90, 9, 1], "square_root").tolist()
      [70, 22, 8]
      >>> epoch_class_counts([90, 9, 1], "progressively_balanced", progress=0.5).tolist()
      [62, 21, 17]

    Source: Kang et al. 2020 (Decoupling representation and classifier), Eqs. 1 and 2, with t = epoch / num_epochs.
      There each image is a random draw; here an epoch's counts are exact. Oversample and undersample: Buda et al. 2018.
    """
    counts = np.asarray(class_counts, np.int64)
    if name not in CLASS_COUNTS:
        suggestion = did_you_mean(name, CLASS_COUNTS)
        raise InputError(f"Class counts are known for {', '.join(CLASS_COUNTS)}. Received {name!r}.{suggestion}")
    if counts.ndim != 1 or counts.size == 0 or counts.min() < 1:
        raise InputError(
            f"class_counts must be one number of images per class, at least 1. Received {counts.tolist()}."
        )
    if not 0 <= progress <= 1:
        raise InputError(f"progress is a fraction of the training, 0 to 1. Received {progress}.")
    num_images, num_classes = counts.sum(), len(counts)
    if name == "oversample":
        return np.full(num_classes, counts.max())
    if name == "undersample":
        return np.full(num_classes, counts.min())
    if name == "instance_balanced":
        return counts.copy()
    equal = np.full(num_classes, num_images / num_classes)
    if name == "class_balanced":
        return _rounded(equal, num_images)
    if name == "square_root":
        return _rounded(num_images * np.sqrt(counts) / np.sqrt(counts).sum(), num_images)
    return _rounded((1 - progress) * counts + progress * equal, num_images)


def draw_epoch(labels: npt.ArrayLike, counts_to_draw: npt.ArrayLike, rng: np.random.Generator) -> np.ndarray:
    """Draws so many images of each class and shuffles them all.

    Each class is cycled through fresh permutations: no image is drawn a second time before all of its class were
    drawn once, and a class that is cut contributes other images in every epoch.

    Args:
      labels: int (n,), the class of each image, 0..C-1.
      counts_to_draw: int (C,), images to draw of each class.
      rng: Where randomness comes from.

    Returns:
      int64 (sum of counts_to_draw,), indices of images.

    Raises:
      InputError: Images are to be drawn from a class without any.
    """
    labels = np.asarray(labels)
    drawn = [np.zeros(0, np.int64)]
    for label, count in enumerate(np.asarray(counts_to_draw)):
        members = np.flatnonzero(labels == label)
        if count and not len(members):
            raise InputError(f"{count} images are to be drawn of class index {label}, which has none.")
        while count > 0:
            drawn.append(rng.permutation(members)[:count])
            count -= len(members)
    return rng.permutation(np.concatenate(drawn)).astype(np.int64)


def get_sampling(
    setting: str | Mapping[str, Any], manifest: Manifest, *, batch_size: int, num_epochs: int
) -> "SampledOrder | None":
    """The order of the epochs for a setting, to hand to `training_dataset(order=...)`.

    Args:
      setting: A name of `epoch_class_counts`, or `{"name": "class_aware", "images_per_class": K}`, or with
        `"classes_per_batch": P` instead of K.
      manifest: The training images, at least one of every class.
      batch_size: Images per batch of the dataset; class_aware fits its blocks to it.
      num_epochs: Epochs of the training; progressively_balanced is t = epoch / num_epochs on its way.

    Returns:
      The order; None for instance_balanced: the pipeline's own permutation.

    Raises:
      InputError: The setting or an argument of it is unknown, or does not fit the manifest or the batch size.
    """
    choice = Choice.read(setting, SAMPLING, "sampling")
    name = choice.name
    counts = np.array(list(manifest.class_counts.values()))
    if name == "instance_balanced":
        return None
    if counts.size == 0 or counts.min() == 0:
        empty = ", ".join(name for name, count in manifest.class_counts.items() if count == 0)
        raise InputError(f"Sampling {name} needs images of every class. {manifest.source} has none of {empty}.")
    labels = manifest.labels
    if name == CLASS_AWARE:
        images_per_class = _images_per_class(choice.arguments, batch_size)
        check_class_aware(manifest.class_counts, batch_size, images_per_class)

        def draw_batches(rng: np.random.Generator, epoch: int) -> np.ndarray:
            return draw_class_aware_epoch(labels, batch_size, images_per_class, rng)

        num_drawn = math.ceil(len(labels) / batch_size) * batch_size
        return SampledOrder(name, draw_batches, len(labels), num_drawn, batch_size=batch_size)
    progressive = name == "progressively_balanced"
    if progressive and num_epochs < 1:
        raise InputError(f"Sampling {name} needs num_epochs, at least 1. Received {num_epochs}.")

    def draw(rng: np.random.Generator, epoch: int) -> np.ndarray:
        progress = min(epoch / num_epochs, 1.0) if progressive else 0.0
        return draw_epoch(labels, epoch_class_counts(counts, name, progress), rng)

    num_drawn = int(epoch_class_counts(counts, name).sum())
    return SampledOrder(name, draw, len(labels), num_drawn, counts_epochs=progressive)


@dataclasses.dataclass(frozen=True, eq=False)
class SampledOrder:
    """The order of an epoch, drawn by NumPy from (seed, epoch) alone: an `EpochOrder` of the pipeline.

    Attributes:
      name: Of the sampling, for messages.
      draw: (generator, epoch) -> int64 (num_drawn,) indices.
      num_images: n of the manifest it is for.
      num_drawn: Length of every epoch.
      batch_size: The only batch size that keeps its batches together; None: any.
      counts_epochs: Whether an epoch's number says more than which random numbers to take.
    """

    name: str
    draw: Callable[[np.random.Generator, int], np.ndarray]
    num_images: int
    num_drawn: int
    batch_size: int | None = None
    counts_epochs: bool = False

    def indices(self, seed: int, epoch: int) -> np.ndarray:
        """int64 (num_drawn,). Both numbers may be negative, as the pipeline's random epoch numbers are."""
        epoch = int(epoch) % 2**64  # NumPy takes no negative numbers
        return self.draw(np.random.default_rng([int(seed) % 2**64, epoch]), epoch)

    def __call__(self, num_images: int, seed: int, epoch: tf.Tensor | int) -> tf.Tensor:
        """The same as a tensor, in graphs too; `num_images` must be what the order was made for."""
        self._check_num_images(num_images)
        epoch = tf.cast(epoch, tf.int64)
        indices = tf.numpy_function(lambda number: self.indices(seed, number), [epoch], tf.int64, stateful=False)
        return tf.ensure_shape(indices, (self.num_drawn,))

    def check_use(self, num_images: int, batch_size: int, first_epoch: int | None) -> None:
        """Raises an InputError for a dataset in which the order would not mean what it says."""
        self._check_num_images(num_images)
        if self.batch_size is not None and self.batch_size != batch_size:
            raise InputError(
                f"Sampling {self.name} was made for batches of {self.batch_size}, and the dataset has batches of "
                f"{batch_size}. Give both the same batch_size."
            )
        if self.counts_epochs and first_epoch is None:
            raise InputError(
                f"Sampling {self.name} depends on the number of the epoch, which a dataset with first_epoch=None does "
                "not have. Give the number of the first epoch (0), and steps_per_epoch to fit."
            )

    def _check_num_images(self, num_images: int) -> None:
        if num_images != self.num_images:
            raise InputError(
                f"Sampling {self.name} was made for a manifest of {self.num_images} images, and the dataset has "
                f"{num_images}. Make it from the manifest that is trained on."
            )


def _rounded(shares: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers of sum `total`: rounded down, and the largest remainders rounded up."""
    counts = np.floor(shares).astype(np.int64)
    # Rounded, so that remainders that differ by the arithmetic alone count as equal.
    by_remainder = np.argsort(-np.round(shares - counts, 9), kind="stable")
    counts[by_remainder[: total - counts.sum()]] += 1
    return counts


def _images_per_class(arguments: Mapping[str, Any], batch_size: int) -> Any:
    """K, of which the batch size makes P or the other way round."""
    if "images_per_class" in arguments:
        return arguments["images_per_class"]
    classes_per_batch = arguments["classes_per_batch"]
    is_whole = isinstance(classes_per_batch, int) and not isinstance(classes_per_batch, bool)
    if not is_whole or classes_per_batch < 2 or batch_size % classes_per_batch:
        raise InputError(
            "Class-aware batches: classes_per_batch must be a whole number, at least 2, of which "
            f"batch_size={batch_size} is a multiple. Received {classes_per_batch!r}."
        )
    return batch_size // classes_per_batch
