"""Seconds that an image takes: in a step, in the input, and in training as a whole, measured in turns."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import keras
import tensorflow as tf

from care_tf.runs._device_trial import Trial

# By chance alone every one of five rounds shows the same in 1 of 16 cases; of three it is 1 of 4.
NUM_ROUNDS = 5
# The first batches of an input fill its buffers, and do not count.
WARM_UP_BATCHES = 3
SECONDS_A_ROUND = 2.0

Timer = Callable[[], float]


class Spread(NamedTuple):
    """Several measurements of one thing: the median, the least and the most."""

    median: float
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread:
    """Median, least and most."""
    values = list(values)
    return Spread(statistics.median(values), min(values), max(values))


def in_turns(timers: Mapping[str, Timer]) -> dict[str, list[float]]:
    """Name -> what its timer gave in every round.

    In turns, because a machine that others share is not equally fast for long: only what was measured in one round can
    be compared.
    """
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(NUM_ROUNDS):
        for name, timer in timers.items():
            seconds[name].append(timer())
    return seconds


def steps_a_round(trial: Trial) -> int:
    """As many steps as take about two seconds."""
    return max(1, min(20, round(SECONDS_A_ROUND / _seconds(lambda: trial.fit(1)))))


def step_timer(trial: Trial, num_steps: int, batch_size: int) -> Timer:
    """Of `fit` on one batch in memory."""
    return lambda: _seconds(lambda: trial.fit(num_steps)) / (num_steps * batch_size)


def input_timer(batches: tf.data.Dataset, num_batches: int, batch_size: int) -> Timer:
    """Of the batches alone, which nobody uses."""
    iterator = iter(batches)

    def take(number: int) -> None:
        for _ in itertools.islice(iterator, number):
            pass

    def timer() -> float:
        take(WARM_UP_BATCHES)  # the buffers have filled while others had their turn
        return _seconds(lambda: take(num_batches)) / (num_batches * batch_size)

    return timer


def training_timer(trial: Trial, batches: tf.data.Dataset, num_steps: int, batch_size: int) -> Timer:
    """Of `fit` on fresh batches."""

    def timer() -> float:
        clock = _Clock()
        trial.fit_on(batches, WARM_UP_BATCHES + num_steps, clock)
        return (clock.ends[-1] - clock.ends[WARM_UP_BATCHES - 1]) / (num_steps * batch_size)

    return timer


class _Clock(keras.callbacks.Callback):
    """When each batch ended."""

    def __init__(self) -> None:
        super().__init__()
        self._supports_tf_logs = True  # Keras 2 would read the logs for it
        self.ends: list[float] = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(time.perf_counter())


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
