"""Dropout and its like: no saved model holds their state, so it is set anew at the beginning of every epoch."""

import zlib

import keras
import numpy as np

from care_tf.keras_generation import is_random, set_random_state
from care_tf.network.observation import layers_by_path


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
