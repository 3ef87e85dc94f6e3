"""The report's headline figures in words: values, intervals, and whether a difference was shown."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from care_tf.data.class_focus import check_focus
from care_tf.evaluation.estimate_text import MINUS, as_decimal, rounded_text
from care_tf.evaluation.pictures import percent
from care_tf.evaluation.scores import Estimate, Scores

_PROBABILITY_DIFFERENCES = ("lesion_reliance/", "drop_without_lesion/", "drop_lesion_only/")


class Headline(NamedTuple):
    """One headline figure as the page shows it; the last three are None without a baseline."""

    title: str
    note: str
    value: str
    interval: str
    baseline: str | None
    difference: str | None
    verdict: str | None


def headlines(
    scores: Scores,
    focus_classes: Sequence[str],
    baseline: Scores | None = None,
    differences: Mapping[str, Estimate] | None = None,
    baseline_name: str = "the baseline",
) -> list[Headline]:
    """Mean class accuracy, macro AUC, and recall with precision, ranking and attention of the classes in focus.

    Args: as of `Report`, and what the baseline is called.

    Raises:
      InputError: A class in focus that is not in the scores.
    """
    by_name = {c.name: c for c in scores.classes}
    check_focus(focus_classes, list(by_name))
    rows = [
        ("Mean class accuracy", "mean of the classes' recalls", "mean_class_accuracy"),
        ("Macro AUC", "one class against the rest, mean", "macro_auc"),
    ]
    for name in focus_classes:
        own = by_name[name]
        rows.append((f"Recall of {name}", f"{own.num_correct} of {own.num_images} images", f"recall/{name}"))
        if own.num_calls is not None:
            rows.append((f"Precision of {name}", f"{own.num_correct} of {own.num_calls} calls", f"precision/{name}"))
        if own.auc.value is not None:
            rows.append((f"AUC of {name}", "against all other classes", f"auc/{name}"))
            rows.append((f"Average precision of {name}", "against all other classes", f"average_precision/{name}"))
        if own.attention_inside.value is not None:
            note = f"share of the map's energy, {own.num_boxes} boxes"
            rows.append((f"Attention inside the box of {name}", note, f"attention_inside/{name}"))
        if own.lesion_reliance.value is not None:
            note = f"by the outputs: lesion against surroundings, {own.num_checked} images"
            rows.append((f"Lesion reliance of {name}", note, f"lesion_reliance/{name}"))
    return [_headline(*row, scores, baseline, differences, baseline_name) for row in rows]


def estimate_of(scores: Scores, key: str) -> Estimate:
    """The estimate that a name of `run_statistics` stands for, such as "macro_auc" or "recall/DF"."""
    figure, _, name = key.partition("/")
    holder = next(c for c in scores.classes if c.name == name) if name else scores
    return getattr(holder, figure)


def as_value(key: str, value: float | None) -> str:
    """AUCs and average precisions with three decimals, differences of probabilities in points, the rest in percent.

    Example:
      >>> as_value("macro_auc", 0.96249), as_value("lesion_reliance/DF", 0.304)
      ('0.962', '30.4 points')
    """
    if value is not None and is_auc(key):
        return as_decimal(value)
    if value is not None and key.startswith(_PROBABILITY_DIFFERENCES):
        return f"{rounded_text(100 * value, 1)} points".replace("-", MINUS)
    return percent(value).replace("-", MINUS)


def as_interval(key: str, estimate: Estimate) -> str:
    """The interval in words, e.g. "70.1 to 78.3 %"; "no interval" where undefined."""
    if estimate.low is None or estimate.high is None:
        return "no interval"
    low = as_decimal(estimate.low) if is_auc(key) else rounded_text(100 * estimate.low, 1)
    return f"{low.replace('-', MINUS)} to {as_value(key, estimate.high)}"


def as_difference(key: str, estimate: Estimate) -> str:
    """A signed difference with its interval: points of a percentage, or AUC.

    Example:
      >>> as_difference("macro_auc", Estimate(0.0123, -0.004, 0.03))
      '+0.012 (\u22120.004\xa0to\xa0+0.030)'
    """
    if estimate.value is None:
        return "n/a"
    numbers = [_signed(key, v) for v in (estimate.value, estimate.low, estimate.high) if v is not None]
    unit = "" if is_auc(key) else " points"
    return f"{numbers[0]}{unit}" + (f" ({numbers[1]}\u00a0to\u00a0{numbers[2]})" if len(numbers) == 3 else "")


def verdict(estimate: Estimate, baseline_name: str = "the baseline") -> str:
    """Whether the data show a difference, in one plain sentence."""
    if estimate.value is None or estimate.low is None:
        return "Not comparable on these images."
    if not estimate.excludes_zero:
        return "No difference shown: the interval includes 0."
    return f"{'Higher' if estimate.value > 0 else 'Lower'} than {baseline_name}: the interval excludes 0."


def _headline(
    title: str,
    note: str,
    key: str,
    scores: Scores,
    baseline: Scores | None,
    differences: Mapping[str, Estimate] | None,
    baseline_name: str,
) -> Headline:
    own = estimate_of(scores, key)
    difference = (differences or {}).get(key)
    return Headline(
        title=title,
        note=note,
        value=as_value(key, own.value),
        interval=as_interval(key, own),
        baseline=None if baseline is None else as_value(key, estimate_of(baseline, key).value),
        difference=None if difference is None else as_difference(key, difference),
        verdict=None
        if difference is None
        else verdict(difference, baseline_name) + _at_equal_calls(key, differences or {}),
    )


def _at_equal_calls(key: str, differences: Mapping[str, Estimate]) -> str:
    """What of a difference in recall is not due to calling the class more often; "" for another figure."""
    equal = differences.get(key.replace("recall/", "recall_at_equal_calls/")) if key.startswith("recall/") else None
    return "" if equal is None else f" At equal calls: {as_difference(key, equal)}."


def is_auc(key: str) -> bool:
    """Whether a figure is written as a fraction, .912, where the others are in percent."""
    return key == "macro_auc" or key.startswith(("auc/", "average_precision/", "insertion_area/", "deletion_area/"))


def _signed(key: str, value: float) -> str:
    scale, decimals = (1, 3) if is_auc(key) else (100, 1)
    return rounded_text(scale * value, decimals, is_signed=True).replace("-", MINUS)
