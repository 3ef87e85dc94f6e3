"""The questions of the results page, and what the comparisons at hand answer: every sentence is made of the figures."""

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from results_tables import (
    ACCURACY,
    AREA,
    CALLS,
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
)
from results_words import (
    BASELINES,
    CONTROLS,
    NAMES,
    RIVALS,
    UNSUPERVISED,
    Differences,
    Pair,
    baseline_pairs,
    control_pairs,
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
    "frame_90_boxes": "dark frames, 90 %, made boxes",
    "isic_learned_boxes": "ISIC 2018, learned masks",
    "isic_full": "ISIC 2018",
    "isic_controls": "ISIC 2018, random boxes",
    "isic_lite0": "ISIC 2018, EfficientNet-Lite0",
}
"""The comparisons that the page knows -> what it calls them."""
EARLIER_FILLING = (
    *("frame_50", "frame_70", "frame_100", "decoy_90", "decoy_100", "frame_90_boxes", "isic_learned_boxes"),
    *("isic_full", "isic_lite0"),
)
"""Comparisons whose lesion reliance was measured with a filling that left part of a large lesion to be seen. Take one
out when it is measured anew."""
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
    if own in UNSUPERVISED:
        return []
    if not is_drawn(method):
        return [other for other in methods if without_variant(other) == own and is_drawn(other)][:1]
    return [rival for rival in dict.fromkeys((*RIVALS, *CONTROLS.get(own, ()))) if rival in methods]


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
    extract: ComparisonExtract | None,
    than: str,
    pairs_of: Callable[[ComparisonExtract], Sequence[Pair]],
    names: Sequence[str] = HEADLINE,
) -> Answer | None:
    """What changes in two figures between pairs of methods of one comparison."""
    if extract is None:
        return None
    pairs = pairs_of(extract)
    others = [pair for pair in baseline_pairs(extract) if pair not in pairs]
    differences = differences_table([(extract, [*pairs, *others])], list(dict.fromkeys((*names, *CALLS))))
    said, shown = _effects([(extract, pairs)], names), differences_table([(extract, pairs)], names)
    shown = f"{shown}\n\n{_other_losses(extract, pairs, names)}".rstrip()
    return Answer(f"Compared with {than}, {said}.", [extract], shown, differences) if said else None


def _other_losses(extract: ComparisonExtract, pairs: Sequence[Pair], names: Sequence[str]) -> str:
    """What is shown to fall in figures that the sentence does not speak of; "" for nothing."""
    found = {name: those(differences_of(extract, pairs, figure_of(extract, name)), is_lower) for name in _OTHERS}
    methods = [method for method, _ in pairs]
    found = {name: each for name, each in found.items() if name not in names}
    lost = [f"{titled(extract, name)} with {_named(extract, each, methods)}" for name, each in found.items() if each]
    return f"Shown to fall besides: {'; '.join(lost)}." if lost else ""


def _beside_csl(extract: ComparisonExtract) -> list[Pair]:
    return [pair for pair in baseline_pairs(extract) if pair[1] == "csl"]


def _supervised_beside_baselines(extract: ComparisonExtract) -> list[Pair]:
    return baseline_pairs(extract, supervised(extract))


def _beside_own_rivals(extract: ComparisonExtract, is_learned: bool) -> list[Pair]:
    """Learned masks beside the drawn boxes alone, or the others with made boxes beside themselves with drawn ones."""
    made = [method for method in supervised(extract) if not is_drawn(method)]
    chosen = [method for method in made if (without_variant(method) == LEARNED) == is_learned]
    return [(method, rival) for method in chosen for rival in rivals_of(method, list(extract.titles))]


def simple_rivals(extract: ComparisonExtract | None) -> Answer | None:
    """Whether a simple use of the same boxes, boxes at random places, or more calls do as well."""
    if extract is None:
        return None
    methods = supervised(extract)
    pairs = {rival: [(method, rival) for method in methods] for rival in RIVALS}
    pairs = {rival: own for rival, own in pairs.items() if differences_of(extract, own, ACCURACY)}
    better, worse, columns = [], [], []
    for name in HEADLINE:
        beside = {rival: differences_of(extract, own, name) for rival, own in pairs.items()}
        above = set(methods).intersection(*(those(each) for each in beside.values()))
        below = {method for each in beside.values() for method in those(each, is_lower)}
        better.append(f"{_named(extract, above, methods)} in {subject(extract, name)}")
        worse.append(f"{_named(extract, below, methods)} in {subject(extract, name)}")
        columns.append([_counts(beside.get(rival, {})) for rival in RIVALS])
    every = "every simple rival" if len(pairs) == len(RIVALS) else "every simple rival compared"
    sentence = f"Better than {every}: {listed(better)}; worse than at least one: {listed(worse)}."
    rows = [[NAMES[rival], *cells] for rival, *cells in zip(RIVALS, *columns, strict=True)]
    shown = table(["methods beside", *(titled(extract, name) for name in HEADLINE)], rows)
    differences = differences_table([(extract, [pair for own in pairs.values() for pair in own])])
    shown = f"{shown}\n\n{_equal_calls(extract, methods)}"
    return Answer(sentence, [extract], shown, differences) if pairs else None


def _counts(differences: Differences) -> str:
    higher, lower = (len(those(differences, is_side)) for is_side in (is_higher, is_lower))
    return f"{higher} better, {lower} worse, of {len(differences)}" if differences else "not run"


def _equal_calls(extract: ComparisonExtract, methods: Sequence[str]) -> str:
    """Whether calling the class as often gives the baseline the same recall."""
    recall, calls = figure_of(extract, "recall"), figure_of(extract, "recall_at_equal_calls")
    pairs = baseline_pairs(extract, methods)
    risen = those(differences_of(extract, pairs, recall))
    left = those(differences_of(extract, [pair for pair in pairs if pair[0] in risen], calls))
    at_equal_calls = f"; at equal calls: {_named(extract, left, methods)}" if risen else ""
    return f"Recall of {extract.focus[0]} above the baseline's: {_named(extract, risen, methods)}{at_equal_calls}."


def what_did_not_help(studies: Studies) -> Answer | None:
    """Every method and simple rival in every comparison: what rises, what falls, and what is not shown."""
    pairs = {
        (study, pair[0]): pair
        for study, extract in studies.items()
        for pair in baseline_pairs(extract)
        if without_variant(pair[0]) not in BASELINES
    }
    names = {method: name_of(studies[study], method) for study, method in reversed(pairs)}  # the first study's
    if not names:
        return None
    changes = {key: _gains_and_losses(studies[key[0]], pair) for key, pair in pairs.items()}
    helped = {without_variant(method) for (_, method), (gains, _) in changes.items() if gains}
    methods = list(dict.fromkeys(without_variant(method) for method in in_order(list(names))))
    never = [NAMES.get(method, names.get(method, method)) for method in methods if method not in helped]
    sentence = (
        f"No gain in mean class accuracy or the lowest recall is shown with {named(never, len(methods), most=8)}."
    )
    if not never:
        sentence = "Every method and simple rival has a gain in some comparison."
    rows, figures = [], []
    for method in in_order(list(names)):  # not by name: two of one name would hide each other
        own = {STUDIES[study]: change for (study, each), change in changes.items() if each == method}
        gains, losses = ([f"{study} ({listed(c[i])})" for study, c in own.items() if c[i]] for i in (0, 1))
        neither = [study for study, change in own.items() if not any(change)]
        rows.append([names[method], *("; ".join(cell) for cell in (gains, losses, neither))])
        for study in [study for study, each in pairs if each == method]:
            cells = [difference_cell(studies[study], pairs[study, method], name) or "not measured" for name in HEADLINE]
            figures.append([names[method], STUDIES[study], *cells])
    shown = table(["beside its baseline", "a gain", "a loss", "neither shown"], rows)
    differences = table(["minus its baseline", "comparison", *(TITLES[name] for name in HEADLINE)], figures)
    return Answer(sentence, list(studies.values()), shown, differences)


def _gains_and_losses(extract: ComparisonExtract, pair: Pair) -> tuple[list[str], list[str]]:
    """In which of the two figures a gain is shown, and in which a loss."""
    words = {ACCURACY: "accuracy", LOWEST: "recall"}
    known = [(word, each) for name, word in words.items() for each in differences_of(extract, [pair], name).values()]
    return [word for word, each in known if is_higher(each)], [word for word, each in known if is_lower(each)]


def _best_beside_rivals(extract: ComparisonExtract) -> tuple[str, list[Pair]]:
    """How simple rivals do beside the supervised method that came out best, in each figure; and it with each rival."""
    rows, pairs = [], []
    for name in HEADLINE:
        gains = differences_of(extract, _supervised_beside_baselines(extract), name)
        best = max(gains, key=lambda method: gains[method].estimate.value or 0.0, default="")
        beside = {rival: differences_of(extract, [(best, rival)], name) for rival in RIVALS}
        run = {rival: each[best] for rival, each in beside.items() if each}
        better, worse = those(run, is_lower), those(run, is_higher)
        neither = [rival for rival in run if rival not in (*better, *worse)]
        absent = [rival for rival in RIVALS if rival not in run]
        cells = [", ".join(NAMES[rival] for rival in each) for each in (better, neither, worse, absent)]
        rows += [[titled(extract, name), name_of(extract, best), *cells]] if run else []
        pairs += [(best, rival) for rival in run]
    header = [f"at {share_text(extract)}", "best supervised", "simple rivals: better", "no difference shown", "worse"]
    return table([*header, "not compared"], rows) if rows else "", list(dict.fromkeys(pairs))


def _effects(compared: Sequence[Compared], names: Sequence[str] = HEADLINE, has_shares: bool = False) -> str:
    """What rises and what falls, over the shares of a trap or in one comparison; "" where no difference is known."""
    found: dict[str, dict[str, Differences]] = {}
    for name, (extract, pairs) in itertools.product(names, compared):
        if differences := differences_of(extract, pairs, figure_of(extract, name)):
            found.setdefault(subject(extract, name), {})[share_text(extract) if has_shares else ""] = differences
    called = {method: name_of(extract, method) for extract, pairs in compared for method, _ in pairs}
    return effects(called, found) if found else ""


def _named(extract: ComparisonExtract, methods: Iterable[str], of: Sequence[str]) -> str:
    return named([name_of(extract, method) for method in in_order(list(methods))], len(of))


_OTHERS = (AREA, "recall", "precision", INSIDE)
_MADE = functools.partial(_beside_own_rivals, is_learned=False)
_LEARNED = functools.partial(_beside_own_rivals, is_learned=True)
QUESTIONS: dict[str, Callable[[Studies], Answer | None]] = {
    "Does supervision of attention help where a cue misleads?": lambda studies: _over_shares(
        FRAMES, "results_frame.png", studies
    ),
    "Which method helps most where the cue always misleads?": lambda studies: _in_one_study(
        studies.get("frame_100"), "CSL", _beside_csl
    ),
    "Which method helps most where the cue misleads in nine of ten images?": lambda studies: _in_one_study(
        studies.get("frame_90"), "CSL", _beside_csl
    ),
    "Do simple rivals do as well?": lambda studies: simple_rivals(studies.get("frame_100")),
    "Do simple rivals do as well in nine of ten images?": lambda studies: simple_rivals(studies.get("frame_90")),
    "Does the exact place of the boxes matter?": lambda studies: _in_one_study(
        studies.get("frame_90"), "the same training with boxes at random places", control_pairs
    ),
    "Do the answers follow the map?": lambda studies: _in_one_study(
        studies.get("frame_90"), "CSL", _beside_csl, (INSIDE, RELIANCE)
    ),
    "Is it the same with a drawn cue?": lambda studies: _over_shares(DECOYS, "results_decoy.png", studies),
    "Which method helps most with a drawn cue?": lambda studies: _in_one_study(
        studies.get("decoy_90"), "CSL", _beside_csl
    ),
    "Do simple rivals do as well with a drawn cue?": lambda studies: simple_rivals(studies.get("decoy_90")),
    "Are boxes made by a program good enough?": lambda studies: _in_one_study(
        studies.get("frame_90_boxes"), "the same method with drawn boxes", _MADE
    ),
    "Can the network learn the boxes that are missing?": lambda studies: _in_one_study(
        studies.get("isic_learned_boxes"), "the same drawn boxes alone", _LEARNED, (INSIDE, ACCURACY)
    ),
    "Does it help where nothing misleads?": lambda studies: _in_one_study(
        studies.get("isic_full"), "the same training without attention", _supervised_beside_baselines
    ),
    "Does the exact place of the boxes matter there?": lambda studies: _in_one_study(
        studies.get("isic_controls"), "the same training with boxes at random places", control_pairs
    ),
    "Is it the same with another network?": lambda studies: _in_one_study(
        studies.get("isic_lite0"), "the same training without attention", _supervised_beside_baselines
    ),
    "What did not help?": what_did_not_help,
}
