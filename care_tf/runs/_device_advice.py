"""What a check of the device found, and what to change, in plain words."""

from care_tf.runs._device_check import CARE, PLAIN, PRECISION, XLA, DeviceCheck
from care_tf.time_left import as_duration

# From here on a difference is worth a change of the configuration.
WAITS, FASTER, DEAR, FULL, ROOMY = 0.15, 1.1, 1.25, 0.85, 0.4
_GIB = 2**30


def device_report(check: DeviceCheck) -> str:
    """What was measured, as a table, and under it what to change."""
    advice = device_advice(check)
    numbered = [f"{number}. {text}" for number, text in enumerate(advice, start=1)]
    changes = ["What to change:", *numbered] if advice else ["Nothing needs to be changed."]
    return "\n".join([*_headline(check), "", *_table(check), "", *_summary(check), "", *changes])


def device_advice(check: DeviceCheck) -> list[str]:
    """What to change, the most useful first; empty where nothing would help much."""
    found = [_about_unseen_gpu(check), _about_memory(check), _about_waiting(check), _about_precision(check)]
    found += [_about_xla(check), _about_care(check), _about_room(check)]
    return [text for text in found if text]


def _headline(check: DeviceCheck) -> list[str]:
    training, data, model = check.config.training, check.config.data, check.config.model
    height, width = data.image_size_px
    device = f"GPU: {check.device}" if check.is_gpu else "No GPU: the processor trains"
    return [
        f"{device}; {check.num_cores} processor core{'s' if check.num_cores > 1 else ''}.",
        f"Tried: {model.backbone}, {height} x {width} px, {training.batch_size} images a step, {training.precision}"
        f"{', XLA' if training.jit_compile else ''}, stage {check.stage.name}.",
    ]


def _table(check: DeviceCheck) -> list[str]:
    lines = [_line("", "images/s", "")]
    lines.append(_line("CARE's step", _rate(check, CARE), ""))
    lines.append(_line("  plain Keras's step", _rate(check, PLAIN), _beside_care(check, PLAIN)))
    lines.append(_line(f"  CARE in {check.other_precision}", _rate(check, PRECISION), _beside_care(check, PRECISION)))
    lines.append(_line(f"  CARE {_xla_words(check)}", _rate(check, XLA), _beside_care(check, XLA)))
    lines.append(_line(_input_name(check), f"{check.input_images_a_second.median:,.0f}", ""))
    if not check.config.data.cache and check.kept_images_a_second is not None:
        lines.append(_line("  with decoded images kept", f"{check.kept_images_a_second.median:,.0f}", ""))
    waiting = f"{check.waiting:.0%} of the time is not the step's"
    lines.append(_line("Training, all together", f"{check.training_images_a_second.median:,.0f}", waiting))
    return lines


def _line(name: str, rate: str, remark: str) -> str:
    return f"{name:<40}{rate:>10}  {remark}".rstrip()


def _rate(check: DeviceCheck, step: str) -> str:
    return f"{check.images_a_second[step].median:,.0f}" if step in check.images_a_second else "-"


def _beside_care(check: DeviceCheck, step: str) -> str:
    """How a step's time is to CARE's, as a sentence has it."""
    if step not in check.times_of_care:
        return f"does not run here: {check.failures[step]}"
    ratio = check.times_of_care[step]
    if step == PLAIN:
        return f"CARE's takes {1 / ratio.median:.2f} times as long ({1 / ratio.high:.2f} to {1 / ratio.low:.2f})"
    if _is_faster(check, step):
        return f"{1 / ratio.median:.1f} times as fast"
    return f"{ratio.median:.1f} times as slow" if ratio.median > FASTER and ratio.low > 1 else "no clear difference"


def _is_faster(check: DeviceCheck, step: str) -> bool:
    """Whether a step is faster than CARE's as configured, by more than the rounds differ."""
    ratio = check.times_of_care.get(step)
    return ratio is not None and ratio.median < 1 / FASTER and ratio.high < 1


def _xla_words(check: DeviceCheck) -> str:
    return "without XLA" if check.config.training.jit_compile else "with XLA"


def _input_name(check: DeviceCheck) -> str:
    if check.kept_images_a_second is None:
        return "Input: the frozen layers' activations"
    return "Input: kept images, augmented" if check.config.data.cache else "Input: read, decode, augment"


def _summary(check: DeviceCheck) -> list[str]:
    epoch = check.num_images / check.training_images_a_second.median
    memory = f"Memory at the peak: {check.peak_bytes / _GIB:.1f} GiB"
    memory += f" of {check.all_bytes / _GIB:.1f}" if check.all_bytes else ""
    if check.plain_peak_bytes:
        memory += f"; plain Keras's step takes {check.plain_peak_bytes / _GIB:.1f}"
    return [
        f"{memory}.",
        f"An epoch of {check.num_images:,} images takes about {as_duration(epoch)} (h:mm:ss), the stage's "
        f"{check.stage.epochs} at most {as_duration(epoch * check.stage.epochs)}.",
    ]


def _about_unseen_gpu(check: DeviceCheck) -> str | None:
    if check.unseen_gpu is None:
        return None
    return (
        f"This machine has a GPU that TensorFlow does not use: {check.unseen_gpu}. Install TensorFlow with CUDA, "
        "pip install 'tensorflow[and-cuda]', and look whether CUDA_VISIBLE_DEVICES hides it."
    )


def _about_memory(check: DeviceCheck) -> str | None:
    if not check.all_bytes or check.peak_bytes < FULL * check.all_bytes:
        return None
    return (
        f"The memory is nearly full: {check.peak_bytes / _GIB:.1f} of {check.all_bytes / _GIB:.1f} GiB. Lower "
        "training.batch_size or data.image_size_px."
    )


def _about_waiting(check: DeviceCheck) -> str | None:
    if check.waiting < WAITS:
        return None
    step, own = check.images_a_second[CARE].median, check.input_images_a_second.median
    whose = "the GPU waits" if check.is_gpu else "both share the cores, and the step gets none"
    rates = f"The input gives {own:,.0f} images/s and the step takes {step:,.0f}"
    return f"{rates}: {whose} {check.waiting:.0%} of the time. {_faster_input(check)}"


def _faster_input(check: DeviceCheck) -> str:
    own, kept = check.input_images_a_second.median, check.kept_images_a_second
    size = f"{check.images_bytes / _GIB:.1f} GiB"
    if not check.config.data.cache and kept is not None and kept.median > FASTER * own:
        return (
            f"Decode every image once: data.cache=memory, which takes {size}, or data.cache=FOLDER, a folder of that "
            f"size. The input then gives {kept.median:,.0f} images/s."
        )
    augmented = "Augmentation takes it: set rotation_degrees, saturation and hue of the stage's augmentation to 0"
    if kept is None or check.stage.augmentation is None:
        return f"Use a machine with more than {check.num_cores} cores, or a smaller data.image_size_px."
    return f"{augmented}, or use a machine with more than {check.num_cores} cores."


def _about_precision(check: DeviceCheck) -> str | None:
    if not _is_faster(check, PRECISION):
        return None
    times, precision = 1 / check.times_of_care[PRECISION].median, check.other_precision
    return f"The step is {times:.1f} times as fast in {precision}: training.precision={precision}."


def _about_xla(check: DeviceCheck) -> str | None:
    if not _is_faster(check, XLA):
        return None
    setting = "false" if check.config.training.jit_compile else "true"
    times = 1 / check.times_of_care[XLA].median
    return f"The step is {times:.1f} times as fast {_xla_words(check)}: training.jit_compile={setting}."


def _about_care(check: DeviceCheck) -> str | None:
    ratio = check.times_of_care.get(PLAIN)
    if ratio is None or 1 / ratio.median < DEAR or ratio.high >= 1 or not check.config.care.second_order:
        return None
    return (
        f"CARE's step takes {1 / ratio.median:.2f} times as long as plain Keras's. A network that ends in average "
        "pooling and one Dense layer costs next to nothing more; with this one, care.second_order=false is faster, and "
        "another method than the paper's."
    )


def _about_room(check: DeviceCheck) -> str | None:
    if not check.is_gpu or not check.all_bytes or check.peak_bytes > ROOMY * check.all_bytes:
        return None
    return (
        f"Only {check.peak_bytes / check.all_bytes:.0%} of the GPU's memory is used. A larger training.batch_size may "
        "train faster; it changes what is learned, so raise learning_rate with it and watch the validation."
    )
