"""What a training would be like on this machine, measured with a short real one: steps, input, memory."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

from care_tf.data.manifest import Manifest
from care_tf.errors import InputError
from care_tf.images.decoding import corrupt_files_refused
from care_tf.runs._device_timing import (
    Spread,
    Timer,
    in_turns,
    input_timer,
    spread,
    step_timer,
    steps_a_round,
    training_timer,
)
from care_tf.runs._device_trial import Trial
from care_tf.runs._machine import Machine, gpu, this_machine
from care_tf.runs._own_pieces import check_own_pieces
from care_tf.runs._shared_images import SharedImages
from care_tf.runs._stage import Stage
from care_tf.runs._training_rows import read_training_rows
from care_tf.runs.config import RunConfig

# Forms of the step that take turns, and what the input and training as a whole are called beside them.
CARE, PLAIN, PRECISION, XLA = ("care", "plain", "precision", "xla")
_OWN, _KEPT, _TRAINING = "own input", "kept input", "training"
_INPUT_BATCHES = 4
# Enough for a round of the input without an image that occurs twice, where there are so many.
_SAMPLE_BATCHES = 16


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
      has_closed_form: Whether CARE needs no inner tape, because average pooling and a Dense layer follow its only map.
    """

    images_a_second: Mapping[str, Spread]
    times_of_care: Mapping[str, Spread]
    failures: Mapping[str, str]
    peak_bytes: int
    plain_peak_bytes: int | None
    has_closed_form: bool


@dataclasses.dataclass(frozen=True)
class InputRates:
    """The input, in images/s.

    Attributes:
      own: Reading, decoding, augmenting and batching alone, as configured.
      kept: The same where decoded images are kept in memory; None where the frozen layers' activations take the images'
        place.
      training: Training, input and steps together.
      waiting: Share of the training's time in which no step is computed, round by round, in [0, 1).
      decoded_bytes: What the decoded training images would take.
      num_images: Images of an epoch.
    """

    own: Spread
    kept: Spread | None
    training: Spread
    waiting: Spread
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


@corrupt_files_refused()
def check_device(
    config: RunConfig, num_steps: int | None = None, tell: Callable[[str], None] = lambda _: None
) -> DeviceCheck:
    """Trains a few steps of a configuration's last stage with attention, in turns with other forms of the same step.

    Nothing is written. The weights are random ones, which cost what trained ones cost, and the images are a sample of
    the training rows. A folder of `data.cache` is stood for by memory.

    Args:
      config: What would be trained.
      num_steps: Steps a round, of five rounds for each form; None for as many as take about two seconds.
      tell: Is told what is done next.

    Raises:
      InputError: The configuration or the data are bad, or a batch does not fit into the device's memory.
    """
    config = _short(config)
    check_own_pieces(config)
    rows = read_training_rows(config)
    config = config.model_copy(update={"data": config.data.model_copy(update={"class_names": rows.train.class_names})})
    sample = dataclasses.replace(rows, train=_sample(rows.train, config), validation=None)
    images = SharedImages("memory" if config.data.cache else None)
    with _as_before():
        trials, failures = _trials(config, functools.partial(Trial, rows=rows, sample=sample, images=images), tell)
        tell("measuring in turns")
        seconds = in_turns(_timers(config, trials, images, num_steps or steps_a_round(trials[CARE])))
    return DeviceCheck(
        config,
        this_machine(),
        _other_precision(config),
        _step_rates(seconds, trials, failures),
        _input_rates(seconds, config, rows.train, trials[CARE].takes_activations),
    )


def _trials(config: RunConfig, trial: Callable[..., Trial], tell) -> tuple[dict[str, Trial], dict[str, str]]:
    """Every form that this device can run, and of the others the reason. What CARE's own step raises is raised."""
    tell("building CARE's step")
    trials, failures = {CARE: trial(config)}, {}
    other_precision, other_xla = _other_precision(config), not config.training.jit_compile
    others = {
        PLAIN: ("plain Keras's step", functools.partial(trial, config, is_plain=True)),
        PRECISION: (
            f"CARE's in {other_precision}",
            functools.partial(trial, _changed(config, precision=other_precision)),
        ),
        XLA: ("CARE's, XLA switched", functools.partial(trial, _changed(config, jit_compile=other_xla))),
    }
    for form, (name, make) in others.items():
        tell(f"building {name}")
        try:
            trials[form] = make()
        except (InputError, tf.errors.OpError) as error:
            failures[form] = str(error).splitlines()[0]
    return trials, failures


def _timers(config: RunConfig, trials: Mapping[str, Trial], images: SharedImages, num_steps: int) -> dict[str, Timer]:
    size, care = config.training.batch_size, trials[CARE]
    timers = {form: step_timer(trial, num_steps, size) for form, trial in trials.items()}
    timers[_TRAINING] = training_timer(care, care.batches(images), num_steps, size)
    timers[_OWN] = input_timer(care.batches(images), _INPUT_BATCHES, size)
    if not config.data.cache and not care.takes_activations:
        timers[_KEPT] = input_timer(care.batches(SharedImages("memory")), _INPUT_BATCHES, size)
    return timers


def _step_rates(seconds: Mapping[str, list[float]], trials: Mapping[str, Trial], failures: dict[str, str]) -> StepRates:
    return StepRates(
        images_a_second={form: spread(1 / each for each in seconds[form]) for form in trials},
        times_of_care={
            form: spread(own / care for own, care in zip(seconds[form], seconds[CARE], strict=True)) for form in trials
        },
        failures=failures,
        peak_bytes=trials[CARE].peak_bytes,
        plain_peak_bytes=trials[PLAIN].peak_bytes if PLAIN in trials and gpu() else None,
        has_closed_form=trials[CARE].has_closed_form,
    )


def _input_rates(
    seconds: Mapping[str, list[float]], config: RunConfig, train: Manifest, takes_activations: bool
) -> InputRates:
    rates = {name: spread(1 / each for each in rounds) for name, rounds in seconds.items()}
    shares = [max(0.0, 1 - step / all_) for step, all_ in zip(seconds[CARE], seconds[_TRAINING], strict=True)]
    height, width = config.data.image_size_px
    return InputRates(
        own=rates[_OWN],
        kept=None if takes_activations else rates.get(_KEPT, rates[_OWN]),
        training=rates[_TRAINING],
        waiting=spread(shares),
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
