"""A check of the device as a page for the terminal: what was tried, the rates, what to change."""

from care_tf.runs._device_advice import GIB, device_advice, times_as_fast, xla_words
from care_tf.runs.device_check import CARE, PLAIN, PRECISION, XLA, DeviceCheck
from care_tf.time_left import as_duration


def device_report(check: DeviceCheck) -> str:
    """What was measured, as a table, and under it what to change."""
    advice = device_advice(check)
    numbered = [f"{number}. {text}" for number, text in enumerate(advice, start=1)]
    changes = ["What to change:", *numbered] if advice else ["Nothing needs to be changed."]
    return "\n".join([*_headline(check), "", *_table(check), "", *_summary(check), "", *changes])


def _headline(check: DeviceCheck) -> list[str]:
    training, machine = check.config.training, check.machine
    height, width = check.config.data.image_size_px
    device = "No GPU: the processor trains" if machine.gpu is None else f"GPU: {machine.gpu}"
    return [
        f"{device}; {machine.num_cores} processor core{'s' if machine.num_cores > 1 else ''}.",
        f"Tried: {check.config.model.backbone}, {height} x {width} px, {training.batch_size} images a step, "
        f"{training.precision}{', XLA' if training.jit_compile else ''}, stage {check.stage.name}.",
    ]


def _table(check: DeviceCheck) -> list[str]:
    rows = [
        ("", "images/s", ""),
        ("CARE's step", _rate(check, CARE), ""),
        ("  plain Keras's step", _rate(check, PLAIN), _beside_plain(check)),
        (f"  CARE's in {check.other_precision}", _rate(check, PRECISION), _beside_care(check, PRECISION)),
        (f"  CARE's {xla_words(check)}", _rate(check, XLA), _beside_care(check, XLA)),
        (_input_name(check), f"{check.input.own.median:,.0f}", ""),
    ]
    if not check.config.data.cache and check.input.kept is not None:
        rows.append(("  with decoded images kept", f"{check.input.kept.median:,.0f}", ""))
    share = check.input.waiting
    waiting = f"{share.median:.0%} of the time goes to the input ({share.low:.0%} to {share.high:.0%})"
    rows.append(("Training: input and steps", f"{check.input.training.median:,.0f}", waiting))
    return [f"{name:<38}{rate:>10}  {remark}".rstrip() for name, rate, remark in rows]


def _rate(check: DeviceCheck, form: str) -> str:
    rates = check.steps.images_a_second.get(form)
    return "-" if rates is None else f"{rates.median:,.0f}"


def _beside_plain(check: DeviceCheck) -> str:
    ratio = check.steps.times_of_care.get(PLAIN)
    if ratio is None:
        return _failure(check, PLAIN)
    return f"CARE's takes {1 / ratio.median:.2f} times as long ({1 / ratio.high:.2f} to {1 / ratio.low:.2f})"


def _beside_care(check: DeviceCheck, form: str) -> str:
    ratio = check.steps.times_of_care.get(form)
    if ratio is None:
        return _failure(check, form)
    times = times_as_fast(check, form)
    if times is not None:
        return f"{times:.1f} times as fast"
    return "slower" if ratio.low > 1 else "no clear difference"


def _failure(check: DeviceCheck, form: str) -> str:
    return f"does not run here: {check.steps.failures[form]}"


def _input_name(check: DeviceCheck) -> str:
    if check.input.kept is None:
        return "Input: the frozen layers' activations"
    return "Input: kept images, augmented" if check.config.data.cache else "Input: read, decode, augment"


def _summary(check: DeviceCheck) -> list[str]:
    epoch = check.input.num_images / check.input.training.median
    memory = f"Memory at the peak: {check.steps.peak_bytes / GIB:.1f} GiB"
    if check.machine.memory_bytes is not None:
        memory += f" of {check.machine.memory_bytes / GIB:.1f}"
    if check.steps.plain_peak_bytes is not None:
        memory += f"; plain Keras's step takes {check.steps.plain_peak_bytes / GIB:.1f}"
    return [
        f"{memory}.",
        f"An epoch of {check.input.num_images:,} images takes about {as_duration(epoch)} (h:mm:ss), the stage's "
        f"{check.stage.epochs} at most {as_duration(epoch * check.stage.epochs)}.",
        "The rates are those of images read before (a warm page cache): a first epoch from a slow disk takes longer.",
    ]
