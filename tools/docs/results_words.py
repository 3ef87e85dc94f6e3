"""What a difference allows one to say: it is "shown" where its interval excludes 0 and the models agree in its sign."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from care_tf.evaluation.estimate_text import rounded_text
from care_tf.runs.comparison_extract import ComparisonExtract, KeptFigure

NAMES = {
    "plain": "cross entropy",
    "baseline": "baseline",
    "csl": "CSL",
    "care": "CARE",
    "care_csl": "CARE + CSL",
    "care_masked": "CARE masked",
    "care_energy": "CARE energy",
    "care_csl_masked": "CARE + CSL masked",
    "care_csl_energy": "CARE + CSL energy",
    "care_learned_boxes": "learned masks",
    "care_masked_both": "CARE masked on both classes",
    "energy": "energy",
    "perturbation": "perturbation",
    "input_gradient": "input gradient",
    "swap": "swapped surroundings",
    "random_boxes": "random boxes",
    "crop": "cropping",
    "paint": "painting",
    "random_boxes_both": "random boxes on both classes",
    "swap_random_boxes": "swapped surroundings of random boxes",
    "care_masked_random_boxes": "CARE masked with random boxes",
}
"""Method -> what sentences and tables call it, each by another name, in their order; others have their titles."""
RIVALS = ("random_boxes", "crop", "paint")
"""Simple uses of the same boxes, or boxes that say nothing."""
CONTROLS = {
    "care_masked": ("care_masked_random_boxes", "random_boxes"),
    "care_csl_masked": ("random_boxes",),
    "care_masked_both": ("random_boxes_both",),
    "swap": ("swap_random_boxes",),
}
"""Method -> the same training with boxes of the same sizes at random places, of which a comparison has the first."""
BASELINES = ("plain", "baseline", "csl")
UNSUPERVISED = {*BASELINES, *RIVALS, *(control for controls in CONTROLS.values() for control in controls)}
"""Methods that are no supervision of attention by boxes that say where the lesion is."""
_DRAWN = ("null", "manifest")
_MANY = 10  # figures that two trainings do not share by accident, each with its interval and range, to six decimals

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
    """The methods that are neither a baseline, a simple rival nor a control, and have a baseline here."""
    methods = [method for method in in_order(list(extract.titles)) if method in extract.baselines]
    return [method for method in methods if without_variant(method) not in UNSUPERVISED]


def control_pairs(extract: ComparisonExtract) -> list[Pair]:
    """Each method that was trained with random boxes, too, and that training, in order."""
    found = {method: [c for c in CONTROLS.get(method, ()) if c in extract.titles] for method in extract.titles}
    return [(method, found[method][0]) for method in in_order(list(found)) if found[method]]


def twins_of(extract: ComparisonExtract) -> dict[str, str]:
    """Methods that are one training under two names, since all their figures are equal -> the later name."""
    own: dict[str, list[Any]] = {method: [] for method in in_order(list(extract.titles))}
    for (method, figure), kept in extract.figures.items():
        own[method].append((figure, *kept.numbers))
    return {
        method: other
        for (method, figures), (other, same) in itertools.combinations(own.items(), 2)
        if len(figures) >= _MANY and sorted(figures, key=str) == sorted(same, key=str)
    }


def without_twins(extract: ComparisonExtract) -> ComparisonExtract:
    """Each training once, under its later name."""
    twins = twins_of(extract)
    return dataclasses.replace(
        extract,
        titles={method: title for method, title in extract.titles.items() if method not in twins},
        baselines={method: other for method, other in extract.baselines.items() if method not in twins},
        figures={key: kept for key, kept in extract.figures.items() if key[0] not in twins},
        differences={key: kept for key, kept in extract.differences.items() if not {*key[:2]} & set(twins)},
    )


def baseline_pairs(extract: ComparisonExtract, methods: Sequence[str] | None = None) -> list[Pair]:
    """Each method, by default of all, that has a baseline, and its baseline, in order."""
    own = in_order(list(extract.titles) if methods is None else methods)
    return [(method, extract.baselines[method]) for method in own if method in extract.baselines]


def differences_of(extract: ComparisonExtract, pairs: Sequence[Pair], figure: str) -> dict[str, KeptFigure]:
    """Differences in a figure of the first of each pair from the second, where they have an interval."""
    found = {method: extract.differences.get((method, other, figure)) for method, other in pairs}
    return {method: each for method, each in found.items() if each is not None and each.estimate.low is not None}


def is_shown(difference: KeptFigure) -> bool:
    """Whether the interval, which holds the trained models fixed, excludes 0, and every one of them has its sign."""
    agree = (difference.minimum or 0) > 0 or (difference.maximum or 0) < 0
    return difference.estimate.excludes_zero and (difference.num_models == 1 or agree)


def is_higher(difference: KeptFigure) -> bool:
    """Whether a difference is shown, and lies above 0."""
    return is_shown(difference) and (difference.estimate.low or 0.0) > 0


def is_lower(difference: KeptFigure) -> bool:
    """Whether a difference is shown, and lies below 0."""
    return is_shown(difference) and not is_higher(difference)


def those(differences: Differences, is_side: Callable[[KeptFigure], bool] = is_higher) -> list[str]:
    """The methods whose difference lies on one side of 0, by default those for which a gain is shown."""
    return [method for method, each in differences.items() if is_side(each)]


def effects(names: Mapping[str, str], found: Mapping[str, Mapping[str, Differences]]) -> str:
    """What is shown to rise and to fall, with which methods, as a part of a sentence.

    "mean class accuracy falls with energy (-2.5) and is not shown to change with the other 2"

    Args:
      names: Method -> what it is called.
      found: Figure, as the subject of a sentence -> share of a trap, or "" for all that there is -> differences in it.
    """
    has_shares = any("" not in shares for shares in found.values())
    groups: dict[tuple[Any, ...], list[str]] = {}  # figures of which the same is said are said together
    for subject, shares in found.items():
        sides = [tuple(_labels(names, shares, is_side)) for is_side in (is_higher, is_lower)]
        groups.setdefault((*sides, None if has_shares else len(shares[""])), []).append(subject)
    clauses = [_clause(subjects, *group) for group, subjects in groups.items()]
    each = [one for shares in found.values() for differences in shares.values() for one in differences.items()]
    changed = {method for method, difference in each if is_shown(difference)}
    unchanged = in_order(list({method for method, _ in each} - changed))
    if has_shares and changed and unchanged:
        still = named([names[method] for method in unchanged], len({*changed, *unchanged}))
        clauses.insert(0, f"no change in {' or '.join(found)} is shown with {still}")
    return "; ".join(clauses)


def _clause(subjects: Sequence[str], higher: Sequence[str], lower: Sequence[str], num_methods: int | None) -> str:
    """What one group of figures does; of so many methods, or of an unknown number over several shares."""
    if not higher and not lower:
        return f"no change in {' or '.join(subjects)} is shown"
    rise, fall, is_not = ("rise", "fall", "are not") if len(subjects) > 1 else ("rises", "falls", "is not")
    total = num_methods or len(higher) + len(lower)
    parts = [f"{verb} with {named(methods, total)}" for verb, methods in ((rise, higher), (fall, lower)) if methods]
    num_others = total - len(higher) - len(lower)
    if num_others:
        parts.append(f"{is_not} shown to change with {'the other' if num_others == 1 else f'the other {num_others}'}")
    return f"{listed(subjects)} {listed(parts)}"


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
    by_size = sorted(at, key=lambda method: -abs(shares[""][method].estimate.value or 0.0))
    return [f"{names[method]} ({_points_text(shares[''][method])})" for method in by_size]


def _points_text(difference: KeptFigure) -> str:
    return rounded_text(100 * (difference.estimate.value or 0.0), 1, is_signed=True)


def named(names: Sequence[str], total: int, most: int = 4) -> str:
    """Methods by their names, or their number where they are many: "6 of 10 methods"."""
    if len(names) <= most:
        return listed(names) or "no method"
    return f"all {total} methods" if len(names) == total else f"{len(names)} of {total} methods"


def listed(parts: Sequence[str]) -> str:
    """Parts of a sentence: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
