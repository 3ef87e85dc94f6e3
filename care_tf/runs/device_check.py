"""What a training would be like on this machine, measured with a short real one: steps, input, memory."""

import contextlib
import dataclasses
import functools
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from care_tf.data.manifest import Manifest
from care_tf.errors import InputError
from care_tf.images.decoding import corrupt_files_refused
from care_tf.runs._device_trial import Trial
from care_tf.runs._machine import Machine, gpu, this_machine
from care_tf.runs._own_pieces import check_own_pieces
from care_tf.runs._shared_images import SharedImages
from care_tf.runs._stage import Stage
from care_tf.runs._training_rows import read_training_rows
from care_tf.runs.config import RunConfig

# Names of the step's forms.
CARE, PLAIN, PRECISION, XLA = "care", "plain", "precision", "xla"
NUM_ROUNDS = 3
# Images of the sample: batches enough for what is timed, and for the first ones, which are not.
_WARM_UP_BATCHES, _SAMPLE_BATCHES = 3, 16
_SECONDS_A_ROUND = 2.0

Fit = Callable[[int], object]


class Rates(NamedTuple):
    """Several measurements of one rate or ratio: the median, the least and the most."""

    median: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class StepRates:
    """The forms of the step, each in `fit` on one batch in memory: CARE's as configured, plain Keras's of the same
    network, CARE's in the other precision, and CARE's with XLA switched the other way.

    Attributes:
      images_a_second: Form -> images/s.
      times_of_care: Form -> its time / that of CARE's step, round by round.
      failures: Form -> why it could not be run here.
      peak_bytes: Memory of CARE's step: of the GPU, or of this process.
      plain_peak_bytes: Of plain Keras's; None without a GPU.
    """

    images_a_second: Mapping[str, Rates]
    times_of_care: Mapping[str, Rates]
    failures: Mapping[str, str]
    peak_bytes: int
    plain_peak_bytes: int | None


@dataclasses.dataclass(frozen=True)
class InputRates:
    """The input, in images/s.

    Attributes:
      own: Reading, decoding, augmenting and batching alone, as configured.
      kept: The same where decoded images are kept in memory; None where the frozen layers' activations take the images'
        place.
      training: Training, input and steps together.
      decoded_bytes: What the decoded training images would take.
      num_images: Images of an epoch.
    """

    own: Rates
    kept: Rates | None
    training: Rates
    decoded_bytes: int
    num_images: int


@dataclasses.dataclass(frozen=True)
class DeviceCheck:
    """What was measured.

    Attributes:
      config: What was trained: one stage of the configuration given, on one device.
      machine: Where.
      other_precision: The precision tried beside the configuration's.
      steps: The forms of the step.
      input: The input, and training as a whole.
    """

    config: RunConfig
    machine: Machine
    other_precision: str
    steps: StepRates
    input: InputRates

    @property
    def stage(self) -> Stage:
        """The stage that was trained."""
        return self.config.stages[0]

    @property
    def waiting(self) -> float:
        """Share of the training's time in which no step is computed, in [0, 1)."""
        return max(0.0, 1 - self.input.training.median / self.steps.images_a_second[CARE].median)


@corrupt_files_refused()
def check_device(
    config: RunConfig, num_steps: int | None = None, tell: Callable[[str], None] = lambda _: None
) -> DeviceCheck:
    """Trains a few steps of a configuration's last stage with attention, in turns with other forms of the same step.

    Nothing is written. The weights are random ones, which cost what trained ones cost, and the images are a sample of
    the training rows. A folder of `data.cache` is stood for by memory.

    Args:
      config: What would be trained.
      num_steps: Steps a round, of three rounds for each form; None for as many as take about two seconds.
      tell: Is told what is measured next.

    Raises:
      InputError: The configuration or the data are bad, or a batch does not fit into the device's memory.
    """
    config = _short(config)
    check_own_pieces(config)
    rows = read_training_rows(config)
    config = config.model_copy(update={"data": config.data.model_copy(update={"class_names": rows.train.class_names})})
    sample = dataclasses.replace(rows, train=_sample(rows.train, config), validation=None)
    images = SharedImages("memory" if config.data.cache else None)
    trial = functools.partial(Trial, rows=rows, sample=sample, images=images)
    with _as_before():
        tell("CARE's step")
        first = trial(config)
        num_steps = num_steps or _steps_a_round(first.fit)
        steps = _step_rates(config, first, trial, num_steps, tell)
        tell("the input, and training as a whole")
        measured = _input_rates(config, first, images, num_steps, rows.train)
    return DeviceCheck(config, this_machine(), _other_precision(config), steps, measured)


def _step_rates(config: RunConfig, first: Trial, trial: Callable[..., Trial], num_steps: int, tell) -> StepRates:
    others = {
        PLAIN: functools.partial(trial, config, is_plain=True),
        PRECISION: functools.partial(trial, _changed(config, precision=_other_precision(config))),
        XLA: functools.partial(trial, _changed(config, jit_compile=not config.training.jit_compile)),
    }
    trials, failures = _those_that_run(others, tell)
    seconds = _in_turns({CARE: first.fit} | {name: each.fit for name, each in trials.items()}, num_steps)
    num_images = num_steps * config.training.batch_size
    return StepRates(
        images_a_second={name: _rates(num_images / each for each in rounds) for name, rounds in seconds.items()},
        times_of_care={
            name: _rates(own / care for own, care in zip(rounds, seconds[CARE], strict=True))
            for name, rounds in seconds.items()
        },
        failures=failures,
        peak_bytes=first.peak_bytes,
        plain_peak_bytes=trials[PLAIN].peak_bytes if PLAIN in trials and gpu() else None,
    )


def _input_rates(config: RunConfig, first: Trial, images: SharedImages, num_steps: int, train: Manifest) -> InputRates:
    own = kept = _input_rate(first.batches(images), config)
    if not config.data.cache:
        kept = _input_rate(first.batches(SharedImages("memory")), config)
    height, width = config.data.image_size_px
    return InputRates(
        own=own,
        kept=None if first.takes_activations else kept,
        training=_training_rate(first, first.batches(images), config, num_steps),
        decoded_bytes=len(train) * height * width * 3,
        num_images=len(train),
    )


def _short(config: RunConfig) -> RunConfig:
    """The last stage that trains with attention, or the last that trains, alone, on one device, from random weights."""
    stages = [stage for stage in config.stages if stage.epochs and not stage.computes_classifier]
    if not stages:
        raise InputError(
            "A check of the device needs a stage that trains. Received none with epochs above 0. Name another."
        )
    chosen = next((stage for stage in reversed(stages) if stage.alpha > 0), stages[-1])
    stage = dataclasses.replace(chosen, start_from=None, reuse=None)
    update = {"stages": (stage,), "model": config.model.model_copy(update={"weights": None})}
    return _changed(config.model_copy(update=update), distribution="none", tensorboard=False)


def _changed(config: RunConfig, **training) -> RunConfig:
    return config.model_copy(update={"training": config.training.model_copy(update=training)})


def _other_precision(config: RunConfig) -> str:
    """What is tried beside the configuration's: 16 bits as the device has them, or 32."""
    if config.training.precision != "float32":
        return "float32"
    return "mixed_bfloat16" if gpu() is None else "mixed_float16"


def _sample(rows: Manifest, config: RunConfig) -> Manifest:
    """Some training rows, drawn under the seed, with one of every class at least."""
    drawn = np.random.default_rng(config.seed).permutation(len(rows))
    _, firsts = np.unique(rows.labels[drawn], return_index=True)
    kept = np.union1d(firsts, np.arange(min(len(rows), _SAMPLE_BATCHES * config.training.batch_size)))
    return rows.subset(drawn[kept])


@contextlib.contextmanager
def _as_before() -> Iterator[None]:
    """Puts the dtype policy back, which every network sets for itself."""
    policy = getattr(keras.mixed_precision, "dtype_policy", None) or keras.mixed_precision.global_policy
    before = policy()
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def _those_that_run(others: Mapping[str, Callable[[], Trial]], tell) -> tuple[dict[str, Trial], dict[str, str]]:
    """The trials, and of those that this device cannot run the reason."""
    names = {PLAIN: "plain Keras's step", PRECISION: "another precision", XLA: "XLA"}
    trials: dict[str, Trial] = {}
    failures: dict[str, str] = {}
    for name, make in others.items():
        tell(names[name])
        try:
            trials[name] = make()
        except (InputError, tf.errors.OpError) as error:
            failures[name] = str(error).splitlines()[0]
    return trials, failures


def _steps_a_round(fit: Fit) -> int:
    start = time.perf_counter()
    fit(1)
    return max(1, min(20, round(_SECONDS_A_ROUND / (time.perf_counter() - start))))


def _in_turns(fits: Mapping[str, Fit], num_steps: int) -> dict[str, list[float]]:
    """Name -> seconds of every round, in turns, because a machine that others share is not equally fast for long."""
    seconds: dict[str, list[float]] = {name: [] for name in fits}
    for _ in range(NUM_ROUNDS):
        for name, fit in fits.items():
            start = time.perf_counter()
            fit(num_steps)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def _input_rate(batches: tf.data.Dataset, config: RunConfig) -> Rates:
    iterator = iter(batches)
    for _ in itertools.islice(iterator, _WARM_UP_BATCHES):
        pass
    size = (_SAMPLE_BATCHES - _WARM_UP_BATCHES) // NUM_ROUNDS
    seconds = []
    for _ in range(NUM_ROUNDS):
        start = time.perf_counter()
        for _ in itertools.islice(iterator, size):
            pass
        seconds.append(time.perf_counter() - start)
    return _rates(size * config.training.batch_size / each for each in seconds)


class _Clock(keras.callbacks.Callback):
    """When each batch ended."""

    def __init__(self):
        super().__init__()
        self.times: list[float] = []

    def on_train_batch_end(self, batch, logs=None):
        self.times.append(time.perf_counter())


def _training_rate(trial: Trial, batches: tf.data.Dataset, config: RunConfig, num_steps: int) -> Rates:
    """Images/s of one `fit` on fresh batches, the first of which do not count."""
    clock = _Clock()
    trial.fit_on(batches, _WARM_UP_BATCHES + NUM_ROUNDS * num_steps, clock)
    ends = clock.times[_WARM_UP_BATCHES - 1 :: num_steps]
    return _rates(num_steps * config.training.batch_size / (b - a) for a, b in itertools.pairwise(ends))


def _rates(values) -> Rates:
    values = list(values)
    return Rates(statistics.median(values), min(values), max(values))
