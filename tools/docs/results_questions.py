"""The questions of the results page, and what the comparisons at hand answer: every sentence is made of the figures."""

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Mapping, Sequence

from results_tables import (
    ACCURACY,
    AREA,
    CALLS,
    FLIPS,
    HEADLINE,
    INSIDE,
    LOWEST,
    RELIANCE,
    TITLES,
    Compared,
    difference_cell,
    differences_table,
    figure_of,
    share_text,
    subject,
    table,
    titled,
    values_table,
)
from results_words import (
    BASELINES,
    NAMES,
    RIVALS,
    Differences,
    Pair,
    baseline_pairs,
    counted,
    differences_of,
    effects,
    in_order,
    is_drawn,
    is_higher,
    is_lower,
    listed,
    name_of,
    named,
    supervised,
    those,
    without_variant,
)

from care_tf.errors import InputError
from care_tf.runs.comparison_extract import ComparisonExtract

FRAMES = ("frame_50", "frame_70", "frame_90", "frame_100")
DECOYS = ("decoy_90", "decoy_100")
STUDIES = {
    "frame_50": "dark frames, 50 %",
    "frame_70": "dark frames, 70 %",
    "frame_90": "dark frames, 90 %",
    "frame_100": "dark frames, 100 %",
    "decoy_90": "drawn square, 90 %",
    "decoy_100": "drawn square, 100 %",
    "frame_90_boxes": "dark frames, 90 %, boxes made by a program",
    "isic_learned_boxes": "ISIC 2018, masks learned",
    "isic_full": "ISIC 2018, nothing misleads",
}
"""The comparisons that the page knows -> what it calls them."""
SWEPT = ("care_masked_both", "swap", "paint")
"""The methods whose gain is drawn against the share."""
LEARNED, ALONE = "care_learned_boxes", "care_csl_masked"
"""Masks learned with the network, and the same training with the drawn boxes alone."""

Studies = Mapping[str, ComparisonExtract]


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the page says to a question: a sentence, a plot or small table of some comparisons, and what is folded."""

    sentence: str
    studies: Sequence[ComparisonExtract]
    shown: str
    differences: str
    own_figures: str = ""


def groups_of(study: str) -> tuple[str, str] | tuple[None, None]:
    """The columns of a study's groups and pairs of images: every trap has them."""
    return ("cue", "pair") if study in (*FRAMES, *DECOYS, "frame_90_boxes") else (None, None)


def rivals_of(method: str, methods: Sequence[str]) -> list[str]:
    """What a method is compared with beside its baseline: the simple rivals, or itself with drawn boxes.

    Learned masks are compared with as many drawn boxes alone.
    """
    own, _, variant = method.partition("@")
    if own == LEARNED:
        return [other for other in methods if other == f"{ALONE}@{variant}"]
    if own in (*BASELINES, *RIVALS):
        return []
    if not is_drawn(method):
        return [other for other in methods if without_variant(other) == own and is_drawn(other)][:1]
    return [rival for rival in RIVALS if rival in methods]


def check_studies(studies: Studies) -> None:
    """Refuses a comparison that is not known, or whose share of misleading images is not that of its name."""
    for name, extract in studies.items():
        if name not in STUDIES:
            raise InputError(
                f"A comparison of the results page is one of {', '.join(STUDIES)}. Received {name}. "
                f"Rename docs/results/{name}.json, or move it out of there."
            )
        percent = re.search(r"_(\d+)", name)
        share = extract.cue_share
        if percent is not None and (share is None or abs(share - int(percent[1]) / 100) > 0.02):
            raise InputError(
                "The number in a trap's name must be the percentage of training images whose cue goes with the class. "
                f"Received {name} with a share of {share}. Prepare the trap with that --share, or rename the folder."
            )


def _over_shares(names: Sequence[str], picture: str, studies: Studies) -> Answer | None:
    """Gain over CSL against the share of training images whose cue goes with the class."""
    here = [studies[name] for name in names if name in studies]
    compared: list[Compared] = [(each, [p for p in _beside_csl(each) if p[0] in SWEPT]) for each in here]
    said = _effects(compared, has_shares=True)
    if not said:
        return None
    rivals, pairs = _best_beside_rivals(here[-1])
    shown = f"![Gain over CSL against the share of images whose cue misleads](images/{picture})\n\n{rivals}".rstrip()
    return Answer(f"Compared with CSL, {said}.", here, shown, differences_table([*compared, (here[-1], pairs)]))


def _in_one_study(
    study: str,
    than: str,
    pairs_of: Callable[[ComparisonExtract], Sequence[Pair]],
    names: Sequence[str],
    all_names: Sequence[str],
    studies: Studies,
) -> Answer | None:
    """What changes in two figures between pairs of methods of one comparison."""
    extract = studies.get(study)
    pairs = pairs_of(extract) if extract else []
    said = _effects([(extract, pairs)], names) if extract else ""
    if extract is None or not said:
        return None
    others = [pair for pair in baseline_pairs(extract) if pair not in pairs]
    shown = differences_table([(extract, pairs)], names)
    differences = differences_table([(extract, [*pairs, *others])], all_names)
    return Answer(f"Compared with {than}, {said}.", [extract], shown, differences, values_table(extract))


def _beside_csl(extract: ComparisonExtract) -> list[Pair]:
    return [pair for pair in baseline_pairs(extract) if pair[1] == "csl"]


def _supervised_beside_baselines(extract: ComparisonExtract) -> list[Pair]:
    return baseline_pairs(extract, supervised(extract))


def _beside_own_rivals(is_chosen: Callable[[str], bool], extract: ComparisonExtract) -> list[Pair]:
    chosen = [method for method in supervised(extract) if is_chosen(method)]
    return [(method, rival) for method in chosen for rival in rivals_of(method, list(extract.titles))]


def simple_rivals(studies: Studies) -> Answer | None:
    """Whether a simple use of the same boxes, boxes at random places, or more calls do as well."""
    extract = studies.get("frame_100")
    pairs = [(m, rival) for rival in RIVALS for m in supervised(extract) if rival in extract.titles] if extract else []
    if extract is None or not pairs:
        return None
    methods = list(dict.fromkeys(method for method, _ in pairs))
    better, worse, cells = [], [], []
    for name in HEADLINE:
        beside = {rival: differences_of(extract, [p for p in pairs if p[1] == rival], name) for rival in RIVALS}
        run = [each for each in beside.values() if each]
        above = [method for method in methods if run and all(method in those(each) for each in run)]
        below = {method for each in run for method in those(each, is_lower)}
        better.append(f"{counted(_names(extract, above))} in {subject(extract, name)}")
        worse.append(f"{len(below) or 'none'} in {subject(extract, name)}")
        cells.append([_above_and_below(each) for each in beside.values()])
    sentence = (
        f"Better than every simple rival, of {len(methods)} methods: {' and '.join(better)}; worse than at least one: "
        f"{' and '.join(worse)}."
    )
    rows = [[NAMES[rival], *row] for rival, *row in zip(RIVALS, *cells, strict=True)]
    shown = table(["methods beside", *(titled(extract, name) for name in HEADLINE)], rows)
    shown = f"{shown}\n\n{_equal_calls(extract, methods)}"
    return Answer(sentence, [extract], shown, differences_table([(extract, pairs)]))


def _above_and_below(differences: Differences) -> str:
    higher, lower = (len(those(differences, is_side)) for is_side in (is_higher, is_lower))
    return f"{higher} better, {lower} worse, of {len(differences)}" if differences else "not run"


def _equal_calls(extract: ComparisonExtract, methods: Sequence[str]) -> str:
    """Whether calling the class as often gives the baseline the same recall."""
    recall, calls = figure_of(extract, "recall"), figure_of(extract, "recall_at_equal_calls")
    pairs = baseline_pairs(extract, methods)
    risen = those(differences_of(extract, pairs, recall))
    left = those(differences_of(extract, [pair for pair in pairs if pair[0] in risen], calls))
    more, still = (named(_names(extract, methods), len(pairs)) for methods in (risen, left))
    at_equal_calls = f"; at equal calls, with {still}" if risen else ""
    return f"The recall of {extract.focus[0]} is higher than the baseline's with {more}{at_equal_calls}."


def what_did_not_help(studies: Studies) -> Answer | None:
    """Every method and simple rival in every comparison: what rises, what falls, and what is not shown."""
    pairs = {
        study: [pair for pair in baseline_pairs(extract) if without_variant(pair[0]) not in BASELINES]
        for study, extract in studies.items()
    }
    names = {method: name_of(studies[study], method) for study, own in pairs.items() for method, _ in own}
    if not names:
        return None
    helped = {
        method
        for study, extract in studies.items()
        for name in HEADLINE
        for method in those(differences_of(extract, pairs[study], name))
    }
    never = [names[method] for method in in_order(list(names)) if method not in helped]
    sentence = f"No gain in mean class accuracy or the lowest recall is shown with {named(never, len(names), most=8)}."
    if not never:
        sentence = "Every method and simple rival has a gain in some comparison."

    def by_study(title: str, cell: Callable[[ComparisonExtract, Pair], str]) -> str:
        rows = []
        for method in in_order(list(names)):  # not by name: two of one name would hide each other
            own = {study: pair for study, each in pairs.items() for pair in each if pair[0] == method}
            cells = [cell(studies[study], own[study]) if study in own else "not run" for study in studies]
            rows.append([names[method], *cells])
        return table([title, *(STUDIES[study] for study in studies)], rows)

    figures = [
        by_study(TITLES[name], lambda extract, pair, name=name: difference_cell(extract, pair, name))
        for name in HEADLINE
    ]
    return Answer(sentence, list(studies.values()), by_study("minus its baseline", _outcome), "\n\n".join(figures))


def _outcome(extract: ComparisonExtract, pair: Pair) -> str:
    """Which of the two figures are shown to be higher or lower."""
    known = {name: found[pair[0]] for name in HEADLINE if (found := differences_of(extract, [pair], name))}
    sides = {word: [_SHORT[name] for name in known if is_side(known[name])] for word, is_side in _SIDES.items()}
    return ", ".join(f"**{listed(names)} {word}**" for word, names in sides.items() if names) or "not shown"


def _best_beside_rivals(extract: ComparisonExtract) -> tuple[str, list[Pair]]:
    """How simple rivals do beside the best method with attention, in each figure; and it with each rival."""
    rows, pairs = [], []
    for name in HEADLINE:
        gains = differences_of(extract, _supervised_beside_baselines(extract), name)
        best = max(gains, key=lambda method: gains[method].estimate.value or 0.0, default="")
        beside = {rival: differences_of(extract, [(best, rival)], name) for rival in RIVALS}
        run = {rival: each[best] for rival, each in beside.items() if each}
        better, worse = those(run, is_lower), those(run, is_higher)
        as_well = [rival for rival in run if rival not in (*better, *worse)]
        absent = [rival for rival in RIVALS if rival not in run]
        cells = [", ".join(NAMES[rival] for rival in each) for each in (better, as_well, worse, absent)]
        rows += [[titled(extract, name), name_of(extract, best), *cells]] if run else []
        pairs += [(best, rival) for rival in run]
    header = [f"at {share_text(extract)}", "best with attention", "simple rivals that do better", "as well", "worse"]
    return table([*header, "not compared"], rows) if rows else "", list(dict.fromkeys(pairs))


def _effects(compared: Sequence[Compared], names: Sequence[str] = HEADLINE, has_shares: bool = False) -> str:
    """What rises and what falls, over the shares of a trap or in one comparison; "" where no difference is known."""
    found: dict[str, dict[str, Differences]] = {}
    for name, (extract, pairs) in itertools.product(names, compared):
        if differences := differences_of(extract, pairs, figure_of(extract, name)):
            found.setdefault(subject(extract, name), {})[share_text(extract) * has_shares] = differences
    called = {method: name_of(extract, method) for extract, pairs in compared for method, _ in pairs}
    return effects(called, found) if found else ""


def _names(extract: ComparisonExtract, methods: Sequence[str]) -> list[str]:
    return [name_of(extract, method) for method in methods]


_SHORT = {ACCURACY: "accuracy", LOWEST: "recall"}
_SIDES = {"higher": is_higher, "lower": is_lower}
_HELP_MOST = ("frame_100", "CSL", _beside_csl, HEADLINE, CALLS)
_FOLLOW = ("frame_100", "CSL", _beside_csl, (INSIDE, RELIANCE), (INSIDE, RELIANCE, FLIPS, ACCURACY))
_MADE = functools.partial(_beside_own_rivals, lambda method: not is_drawn(method))
_LEARNED = functools.partial(_beside_own_rivals, lambda method: without_variant(method) == LEARNED)
QUESTIONS: dict[str, Callable[[Studies], Answer | None]] = {
    "Does supervision of attention help where a cue misleads?": functools.partial(
        _over_shares, FRAMES, "results_frame.png"
    ),
    "Which method helps most where the cue always misleads?": functools.partial(_in_one_study, *_HELP_MOST),
    "Do simple rivals do as well?": simple_rivals,
    "Do the answers follow the map?": functools.partial(_in_one_study, *_FOLLOW),
    "Is it the same with a drawn cue?": functools.partial(_over_shares, DECOYS, "results_decoy.png"),
    "Are boxes made by a program good enough?": functools.partial(
        _in_one_study, "frame_90_boxes", "the same method with drawn boxes", _MADE, HEADLINE, CALLS
    ),
    "Can the network learn the boxes that are missing?": functools.partial(
        _in_one_study,
        *("isic_learned_boxes", "the same drawn boxes alone", _LEARNED, (INSIDE, ACCURACY), (*CALLS, INSIDE)),
    ),
    "Does it help where nothing misleads?": functools.partial(
        _in_one_study,
        "isic_full",
        "the same training without attention",
        _supervised_beside_baselines,
        (ACCURACY, AREA),
        CALLS,
    ),
    "What did not help?": what_did_not_help,
}
