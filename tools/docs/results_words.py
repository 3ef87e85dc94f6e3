"""What a difference allows one to say: it is "shown" where its paired interval excludes 0, and nowhere else."""

from collections.abc import Callable, Mapping, Sequence

from care_tf.evaluation.estimate_text import rounded_text
from care_tf.runs.comparison_extract import ComparisonExtract, KeptFigure

NAMES = {
    "plain": "cross entropy",
    "baseline": "baseline",
    "csl": "CSL",
    "care": "CARE",
    "care_csl": "CARE + CSL",
    "care_masked": "CARE masked",
    "care_csl_masked": "CARE + CSL masked",
    "care_learned_boxes": "learned masks",
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

Pair = tuple[str, str]
"""A method, and the one that it is compared with."""
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
        return f" with {100 * float(value):g} % of the boxes drawn"
    return None if variant else ""


def without_variant(method: str) -> str:
    """A method without what its variant changes: "energy" of "energy@train_boxes=boxes_dsr"."""
    return method.partition("@")[0]


def is_drawn(method: str) -> bool:
    """Whether a method, or a variant of it, has the boxes of its manifest."""
    variant = method.partition("@")[2]
    return not variant or variant.removeprefix("train_boxes=") in _DRAWN


def in_order(methods: Sequence[str]) -> list[str]:
    """Methods in the order of `NAMES`, then others, by their names."""
    places = {name: place for place, name in enumerate(NAMES)}
    return sorted(methods, key=lambda method: (places.get(without_variant(method), len(places)), method))


def supervised(extract: ComparisonExtract) -> list[str]:
    """The methods that are neither a baseline nor a simple rival, and have a baseline here."""
    methods = [method for method in in_order(list(extract.titles)) if method in extract.baselines]
    return [method for method in methods if without_variant(method) not in (*BASELINES, *RIVALS)]


def baseline_pairs(extract: ComparisonExtract, methods: Sequence[str] | None = None) -> list[Pair]:
    """Each method, by default of all, that has a baseline, and its baseline, in order."""
    own = in_order(list(extract.titles) if methods is None else methods)
    return [(method, extract.baselines[method]) for method in own if method in extract.baselines]


def differences_of(extract: ComparisonExtract, pairs: Sequence[Pair], figure: str) -> dict[str, KeptFigure]:
    """Differences in a figure of the first of each pair from the second, where they have an interval."""
    found = {method: extract.differences.get((method, other, figure)) for method, other in pairs}
    return {method: each for method, each in found.items() if each is not None and each.estimate.low is not None}


def is_higher(difference: KeptFigure) -> bool:
    """Whether a difference is shown, and lies above 0."""
    return difference.estimate.excludes_zero and (difference.estimate.low or 0.0) > 0


def is_lower(difference: KeptFigure) -> bool:
    """Whether a difference is shown, and lies below 0."""
    return difference.estimate.excludes_zero and not is_higher(difference)


def those(differences: Differences, is_side: Callable[[KeptFigure], bool] = is_higher) -> list[str]:
    """The methods whose difference lies on one side of 0, by default those for which a gain is shown."""
    return [method for method, each in differences.items() if is_side(each)]


def effects(names: Mapping[str, str], found: Mapping[str, Mapping[str, Differences]]) -> str:
    """What is shown to rise and to fall, with which methods, as a part of a sentence.

    "mean class accuracy rises with no method and falls with energy (-2.5); no change is shown with CARE"

    Args:
      names: Method -> what it is called.
      found: Figure, as the subject of a sentence -> share of a trap, or "" for all that there is -> differences in it.
    """
    groups: dict[tuple[tuple[str, ...], ...], list[str]] = {}  # figures of which the same is said are said together
    for subject, shares in found.items():
        sides = tuple(tuple(_labels(names, shares, is_side)) for is_side in (is_higher, is_lower))
        groups.setdefault(sides, []).append(subject)
    each = [one for shares in found.values() for differences in shares.values() for one in differences.items()]
    methods = in_order(list({method for method, _ in each}))
    changed = {method for method, difference in each if difference.estimate.excludes_zero}
    unchanged = [names[method] for method in methods if method not in changed]
    clauses = [_clause(subjects, higher, lower, len(methods)) for (higher, lower), subjects in groups.items()]
    if changed and unchanged:
        of_all = " of either" * (len(found) > 1)
        clauses.append(f"no change{of_all} is shown with {named(unchanged, len(methods))}")
    return "; ".join(clauses)


def _clause(subjects: Sequence[str], higher: Sequence[str], lower: Sequence[str], num_methods: int) -> str:
    if not higher and not lower:
        return f"no change of {' or '.join(subjects)} is shown"
    verbs = ("rise", "fall") if len(subjects) > 1 else ("rises", "falls")
    falls = f" and {verbs[1]} with {named(lower, num_methods)}" if lower else ""
    return f"{listed(subjects)} {verbs[0]} with {named(higher, num_methods)}{falls}"


def _labels(
    names: Mapping[str, str], shares: Mapping[str, Differences], is_side: Callable[[KeptFigure], bool]
) -> list[str]:
    """The methods on one side of 0, with the shares at which they are; without shares, by size."""
    at: dict[str, list[str]] = {}
    for share, differences in shares.items():
        for method in those(differences, is_side):
            at.setdefault(method, []).append(share)
    if "" not in shares:
        places = {method: "every share" if len(own) == len(shares) > 1 else listed(own) for method, own in at.items()}
        return [f"{names[method]} (at {places[method]})" for method in in_order(list(at))]
    points = {method: 100 * (shares[""][method].estimate.value or 0.0) for method in at}
    by_size = sorted(points, key=lambda method: -abs(points[method]))
    return [f"{names[method]} ({rounded_text(points[method], 1, is_signed=True)})" for method in by_size]


def named(names: Sequence[str], total: int, most: int = 4) -> str:
    """Methods by their names, or their number where they are many: "6 of 10 methods"."""
    if len(names) <= most:
        return listed(names) or "no method"
    return f"all {total} methods" if len(names) == total else f"{len(names)} of {total} methods"


def listed(parts: Sequence[str]) -> str:
    """Parts of a sentence: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
