"""What to change after a check of the device, in plain words: each finding with the setting that helps."""

from care_tf.data.augmentation import Augmentation
from care_tf.runs.device_check import CARE, PLAIN, PRECISION, XLA, DeviceCheck

# From here on a difference is worth a change of the configuration.
WAITS, FASTER, DEAR, FULL, ROOMY = 0.15, 1.1, 1.25, 0.85, 0.4
GIB = 2**30


def device_advice(check: DeviceCheck) -> list[str]:
    """What to change, the most useful first; empty where nothing would help much."""
    findings = (_unseen_gpu, _full_memory, _waiting, _precision, _xla, _dear_care, _roomy_memory)
    return [text for finding in findings if (text := finding(check)) is not None]


def times_as_fast(check: DeviceCheck, form: str) -> float | None:
    """How many times as fast as CARE's step a form of it is, where it is faster by more than the rounds differ."""
    ratio = check.steps.times_of_care.get(form)
    if ratio is None or ratio.median > 1 / FASTER or ratio.high >= 1:
        return None
    return 1 / ratio.median


def xla_words(check: DeviceCheck) -> str:
    """How XLA was tried."""
    return "without XLA" if check.config.training.jit_compile else "with XLA"


def _unseen_gpu(check: DeviceCheck) -> str | None:
    if check.machine.unseen_gpu is None:
        return None
    return (
        "Install TensorFlow with CUDA (pip install 'tensorflow[and-cuda]'), and look whether CUDA_VISIBLE_DEVICES "
        f"hides the GPU: this machine has one that TensorFlow does not use, {check.machine.unseen_gpu}."
    )


def _full_memory(check: DeviceCheck) -> str | None:
    peak, memory = check.steps.peak_bytes, check.machine.memory_bytes
    if memory is None or peak < FULL * memory:
        return None
    return (
        "Lower training.batch_size or data.image_size_px: the memory is nearly full, "
        f"{peak / GIB:.1f} of {memory / GIB:.1f} GiB."
    )


def _waiting(check: DeviceCheck) -> str | None:
    waiting = check.input.waiting
    if waiting.median < WAITS or waiting.low < WAITS / 2:
        return None
    step, own = check.steps.images_a_second[CARE].median, check.input.own.median
    waits = "the GPU waits for images" if check.machine.gpu is not None else "the input has the processor cores"
    rates = f"The input alone gives {own:,.0f} images/s and the step alone takes {step:,.0f}"
    return f"{_faster_input(check)} {rates}: {waits} {waiting.median:.0%} of the time."


def _faster_input(check: DeviceCheck) -> str:
    """What to do, as a sentence."""
    own, kept = check.input.own.median, check.input.kept
    if not check.config.data.cache and kept is not None and kept.median > FASTER * own:
        return (
            f"Set data.cache=memory ({check.input.decoded_bytes / GIB:.1f} GiB), or data.cache=FOLDER on a fast disk: "
            f"every image is then decoded once, and the input gives {kept.median:,.0f} images/s."
        )
    cores = f"use a machine with more than {check.machine.num_cores} processor cores"
    dear = _dear_augmentations(check)
    if kept is None or not dear:
        return f"To be faster, {cores}, or lower data.image_size_px."
    return f"Set {', '.join(dear)} of the stage's augmentation to 0, or {cores}."


def _dear_augmentations(check: DeviceCheck) -> list[str]:
    """Those of the stage's augmentations that cost most: rotation, and colors that are turned."""
    if check.stage.augmentation is None:
        return []
    augmentation = Augmentation(**check.stage.augmentation)
    return [name for name in ("rotation_degrees", "saturation", "hue") if getattr(augmentation, name)]


def _precision(check: DeviceCheck) -> str | None:
    times = times_as_fast(check, PRECISION)
    return None if times is None else f"Set training.precision={check.other_precision}: {_faster_step(times)}"


def _xla(check: DeviceCheck) -> str | None:
    times = times_as_fast(check, XLA)
    setting = "false" if check.config.training.jit_compile else "true"
    return None if times is None else f"Set training.jit_compile={setting} ({xla_words(check)}): {_faster_step(times)}"


def _faster_step(times: float) -> str:
    return f"the step is {times:.1f} times as fast."


def _dear_care(check: DeviceCheck) -> str | None:
    times = times_as_fast(check, PLAIN)
    care = check.config.care
    if (
        times is None
        or times < DEAR
        or check.steps.has_closed_form
        or not (care.second_order and care.attention_loss.differentiates_map)
    ):
        return None
    return (
        "Prefer a network that ends in average pooling and one Dense layer, with its last map as the one attention "
        "layer: CARE then costs next to nothing more. Or set care.second_order=false, which is faster and another "
        f"method than the paper's: CARE's step takes {times:.2f} times as long as plain Keras's."
    )


def _roomy_memory(check: DeviceCheck) -> str | None:
    peak, memory = check.steps.peak_bytes, check.machine.memory_bytes
    if check.machine.gpu is None or memory is None or peak > ROOMY * memory:
        return None
    return (
        f"Try a larger training.batch_size: only {peak / memory:.0%} of the GPU's memory is used. It may train faster; "
        "it changes what is learned, so raise learning_rate with it and watch the validation."
    )
