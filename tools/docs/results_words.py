"""What a difference allows one to say: it is "shown" where its paired interval excludes 0, and nowhere else."""

from collections.abc import Mapping, Sequence

from care_tf.runs.comparison_extract import ComparisonExtract, KeptFigure
from care_tf.runs.reproduced_tables import figure_texts

NAMES = {
    "plain": "cross entropy",
    "baseline": "baseline",
    "csl": "CSL",
    "care": "CARE",
    "care_csl": "CARE + CSL",
    "care_masked": "CARE masked",
    "care_csl_masked": "CARE + CSL masked",
    "care_learned_boxes": "CARE + CSL masked, others' masks learned",
    "care_masked_both": "CARE masked on both classes",
    "energy": "energy",
    "perturbation": "perturbation",
    "input_gradient": "input gradient",
    "swap": "swapped surroundings",
    "random_boxes": "random boxes",
    "crop": "cropping",
    "paint": "painting",
}
"""Method -> what sentences and tables call it, each by another name, in their order; others have their titles."""
RIVALS = ("random_boxes", "crop", "paint")
"""Simple uses of the same boxes, or boxes that say nothing."""
BASELINES = ("plain", "baseline", "csl")
_DRAWN = ("null", "manifest")

Differences = Mapping[str, KeptFigure]
"""Method -> its difference from another method."""


def name_of(extract: ComparisonExtract, method: str) -> str:
    """What a method is called; a variant of its boxes by them: "energy with DSR boxes"."""
    own, _, variant = method.partition("@")
    boxes = _boxes_text(variant)
    return extract.titles[method] if own not in NAMES or boxes is None else NAMES[own] + boxes


def _boxes_text(variant: str) -> str | None:
    """What a variant says of the training boxes; "" for no variant, None for one of anything else."""
    key, _, value = variant.partition("=")
    if key == "train_boxes":
        return f" with {'drawn' if value in _DRAWN else value.removeprefix('boxes_').upper()} boxes"
    if key == "train_box_share" and "," not in value:
        return f", {100 * float(value):g} % of the boxes drawn"
    return None if variant else ""


def is_drawn(method: str) -> bool:
    """Whether a method, or a variant of it, has the boxes of its manifest."""
    variant = method.partition("@")[2]
    return not variant or variant.removeprefix("train_boxes=") in _DRAWN


def in_order(methods: Sequence[str]) -> list[str]:
    """Methods in the order of `NAMES`, then others, by their names."""
    places = {name: place for place, name in enumerate(NAMES)}
    return sorted(methods, key=lambda method: (places.get(method.partition("@")[0], len(places)), method))


def supervised(extract: ComparisonExtract) -> list[str]:
    """The methods that are neither a baseline nor a simple rival, and have a baseline here."""
    methods = [method for method in in_order(list(extract.titles)) if method in extract.baselines]
    return [method for method in methods if method.partition("@")[0] not in (*BASELINES, *RIVALS)]


def differences_of(
    extract: ComparisonExtract, methods: Sequence[str], figure: str, other: str | None = None
) -> dict[str, KeptFigure]:
    """Differences in a figure from another method, by default each one's own baseline, where they are defined."""
    found = {}
    for method in methods:
        against = extract.baselines.get(method, "") if other is None else other
        difference = extract.differences.get((method, against, figure))
        if difference is not None and difference.estimate.low is not None:
            found[method] = difference
    return found


def is_higher(difference: KeptFigure) -> bool:
    """Whether a difference is shown, and lies above 0."""
    return difference.estimate.excludes_zero and (difference.estimate.low or 0.0) > 0


def is_lower(difference: KeptFigure) -> bool:
    """Whether a difference is shown, and lies below 0."""
    return difference.estimate.excludes_zero and not is_higher(difference)


def those_higher(differences: Differences) -> list[str]:
    """The methods for which a gain is shown."""
    return [method for method, each in differences.items() if is_higher(each)]


def verdicts(extract: ComparisonExtract, figure: str, differences: Differences) -> str:
    """For which methods a difference is shown, as the end of a sentence.

    "shown to be higher for 1 of 3 (energy +3.1 [+1.0, +5.2]) and lower for none; no difference is shown for 2 (...)"
    """
    higher = {method: each for method, each in differences.items() if is_higher(each)}
    lower = {method: each for method, each in differences.items() if is_lower(each)}
    rest = [name_of(extract, method) for method in differences if method not in (*higher, *lower)]

    def counted(found: Differences, total: str = "") -> str:
        texts = [f"{name_of(extract, method)} {difference_text(figure, each)}" for method, each in found.items()]
        return f"{len(texts) or 'none'}{total}" + (f" ({'; '.join(texts)})" if texts else "")

    text = f"shown to be higher for {counted(higher, f' of {len(differences)}')} and lower for {counted(lower)}"
    return f"{text}; no difference is shown for {len(rest)} ({', '.join(rest)})" if rest else text


def difference_text(figure: str, kept: KeptFigure) -> str:
    """A difference with its interval, in points, of areas as a fraction: "+3.1 [+1.0, +5.2]"."""
    return number_text(figure, kept, is_signed=True)


def number_text(figure: str, kept: KeptFigure, is_signed: bool) -> str:
    """A value with its interval: shares in percent, areas as fractions."""
    estimate = kept.estimate
    numbers = [number for number in (estimate.value, estimate.low, estimate.high) if number is not None]
    value, *interval = figure_texts(figure, numbers, is_signed)
    return f"{value} [{', '.join(interval)}]" if len(interval) == 2 else value


def listed(parts: Sequence[str]) -> str:
    """Parts of a sentence: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
