"""What to change after a check of the device, in plain words: each finding with the setting that helps."""

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
        f"This machine has a GPU that TensorFlow does not use, {check.machine.unseen_gpu}. Install TensorFlow with "
        "CUDA (pip install 'tensorflow[and-cuda]'), and look whether CUDA_VISIBLE_DEVICES hides it."
    )


def _full_memory(check: DeviceCheck) -> str | None:
    peak, memory = check.steps.peak_bytes, check.machine.memory_bytes
    if memory is None or peak < FULL * memory:
        return None
    return (
        f"The memory is nearly full: {peak / GIB:.1f} of {memory / GIB:.1f} GiB. Lower training.batch_size or "
        "data.image_size_px."
    )


def _waiting(check: DeviceCheck) -> str | None:
    if check.waiting < WAITS:
        return None
    step, own = check.steps.images_a_second[CARE].median, check.input.own.median
    rates = f"The input gives {own:,.0f} images/s and the step takes {step:,.0f}"
    if check.machine.gpu is not None:
        fact = f"{rates}: the GPU waits {check.waiting:.0%} of the time."
    else:
        fact = f"{rates}; they share the cores, and the input has them {check.waiting:.0%} of the time."
    return f"{fact} {_faster_input(check)}"


def _faster_input(check: DeviceCheck) -> str:
    own, kept = check.input.own.median, check.input.kept
    if not check.config.data.cache and kept is not None and kept.median > FASTER * own:
        return (
            "Decode every image once, with data.cache=memory, which takes "
            f"{check.input.decoded_bytes / GIB:.1f} GiB, or with data.cache=FOLDER, on a disk: the input then gives "
            f"{kept.median:,.0f} images/s."
        )
    cores = f"use a machine with more than {check.machine.num_cores} cores"
    if kept is None or check.stage.augmentation is None:
        return f"To change that, {cores}, or a smaller data.image_size_px."
    lighter = "set rotation_degrees, saturation and hue of the stage's augmentation to 0"
    return f"Most of it is augmentation: {lighter}, or {cores}."


def _precision(check: DeviceCheck) -> str | None:
    times, precision = times_as_fast(check, PRECISION), check.other_precision
    if times is None:
        return None
    return f"The step is {times:.1f} times as fast in {precision}: set training.precision={precision}."


def _xla(check: DeviceCheck) -> str | None:
    times = times_as_fast(check, XLA)
    if times is None:
        return None
    setting = "false" if check.config.training.jit_compile else "true"
    return f"The step is {times:.1f} times as fast {xla_words(check)}: set training.jit_compile={setting}."


def _dear_care(check: DeviceCheck) -> str | None:
    times = times_as_fast(check, PLAIN)
    if times is None or times < DEAR or not check.config.care.second_order:
        return None
    return (
        f"CARE's step takes {times:.2f} times as long as plain Keras's. A network that ends in average pooling and one "
        "Dense layer costs next to nothing more; with this one, care.second_order=false is faster, and another method "
        "than the paper's."
    )


def _roomy_memory(check: DeviceCheck) -> str | None:
    peak, memory = check.steps.peak_bytes, check.machine.memory_bytes
    if check.machine.gpu is None or memory is None or peak > ROOMY * memory:
        return None
    return (
        f"Only {peak / memory:.0%} of the GPU's memory is used. A larger training.batch_size may train faster; it "
        "changes what is learned, so raise learning_rate with it and watch the validation."
    )
