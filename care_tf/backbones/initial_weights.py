"""Initial weights that depend on one seed and leave the caller's random state alone."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import keras

# Keras 2 draws unseeded initializers from here once `keras.utils.set_random_seed` was called; Keras 3 has none.
_KERAS_2_GENERATOR: Any = getattr(keras.src.backend, "_SEED_GENERATOR", None)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Layers built inside get the same initial weights (and dropout seeds) for the same seed.

    Both generations of Keras take the seed of an initializer that has none from Python's `random`. Its state is put
    back afterwards, so that building a model does not change what the caller draws next; NumPy's and TensorFlow's
    global seeds are not touched.

    Args:
      seed: Any integer.
    """
    state = random.getstate()
    keras_2_generator = getattr(_KERAS_2_GENERATOR, "generator", None)
    random.seed(seed)
    if keras_2_generator is not None:
        _KERAS_2_GENERATOR.generator = random.Random(seed)
    try:
        yield
    finally:
        random.setstate(state)
        if keras_2_generator is not None:
            _KERAS_2_GENERATOR.generator = keras_2_generator
