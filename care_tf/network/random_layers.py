"""Layers that draw random numbers in training.

No saved model holds the state of dropout and its like, so it is set anew at the beginning of every epoch. Layers that
move the image at random would move it away from its mask.
"""

import zlib

import keras
import numpy as np

from care_tf.errors import InputError
from care_tf.keras_generation import is_random, set_random_state
from care_tf.network.observation import layers_by_path, walk_layers

RANDOM_GEOMETRY = frozenset(
    {
        "AugMix", "CutMix", "FourierMix", "GridMask", "JitteredResize", "MixUp", "Mosaic", "RandAugment",
        "RandomAffine", "RandomAspectRatio", "RandomChoice", "RandomCrop", "RandomCropAndResize",
        "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomHeight", "RandomPerspective", "RandomRotation",
        "RandomShear", "RandomTranslation", "RandomWidth", "RandomZoom", "RandomZoomAndCrop",
    }
)  # fmt: skip


def random_layers(model: keras.Model) -> list[str]:
    """Paths of the layers that draw random numbers in training."""
    return [path for path, layer in layers_by_path(model).items() if is_random(layer)]


def set_random_layers(model: keras.Model, *seed: int) -> None:
    """Makes what every random layer draws next a function of the seed and the layer's name.

    A run that is interrupted, or takes a stage over, then draws what one that was not would have drawn.

    Args:
      model: Any model; layers that it shares with another one get the same state from either.
      seed: Whole numbers, at least 0.
    """
    for layer in layers_by_path(model).values():
        if is_random(layer):
            entropy = [*seed, zlib.crc32(layer.name.encode())]
            set_random_state(layer, int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1))


def refuse_random_geometry(classifier: keras.Model) -> None:
    """Checks that no layer of the classifier moves or mixes images at random.

    Raises:
      InputError: One does; masks in x would no longer fit the image that the network sees.
    """
    for path, layer in walk_layers(classifier):
        names = {parent.__name__ for parent in type(layer).__mro__}
        if names & RANDOM_GEOMETRY:
            raise InputError(
                f"The classifier's layer {path!r} ({type(layer).__name__}) moves the image at random, so a mask would "
                "no longer lie on its lesion. Take the layer out of the classifier and augment images and masks "
                "together in the dataset (care_tf.data.training_dataset with an Augmentation)."
            )
