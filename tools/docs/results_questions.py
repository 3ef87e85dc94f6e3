"""The questions of the results page, and what the comparisons at hand answer: every sentence is made of the figures."""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence

from results_tables import (
    ACCURACY,
    CALLS,
    FOLLOWING,
    LOWEST,
    TITLES,
    differences_table,
    figure_of,
    folded,
    how_sure,
    pairs_table,
    share_text,
    table,
    titled,
    values_table,
)
from results_words import (
    BASELINES,
    RIVALS,
    difference_text,
    differences_of,
    in_order,
    is_drawn,
    is_higher,
    is_lower,
    listed,
    name_of,
    supervised,
    those_higher,
    verdicts,
)

from care_tf.errors import InputError
from care_tf.runs.comparison_extract import ComparisonExtract, KeptFigure

FRAMES = ("frame_50", "frame_70", "frame_90", "frame_100")
DECOYS = ("decoy_90", "decoy_100")
STUDIES = (*FRAMES, *DECOYS, "frame_90_boxes", "isic_learned_boxes", "isic_full")
"""The comparisons that the page knows."""
SWEPT = ("care_masked_both", "swap", "paint")
"""The methods whose gain is drawn against the share."""
LEARNED, ALONE = "care_learned_boxes", "care_csl_masked"
"""Masks learned with the network, and the same training with the drawn boxes alone."""

Studies = Mapping[str, ComparisonExtract]


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the page says to a question: one sentence, a figure or small table, how sure it is, and all figures."""

    sentence: str
    shown: str = ""
    sure: str = ""
    all_figures: str = ""


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
        return [other for other in methods if other.partition("@")[0] == own and is_drawn(other)][:1]
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


def _over_shares(names: Sequence[str], picture: str, studies: Studies) -> Answer:
    """Gain over CSL against the share of training images whose cue goes with the class."""
    here = {name: studies[name] for name in names if name in studies}
    if not here:
        return _not_run(names)
    methods = [[m for m in in_order(list(each.titles)) if m in SWEPT and m in each.baselines] for each in here.values()]
    parts = []
    for extract, own in zip(here.values(), methods, strict=True):
        gains = [differences_of(extract, own, figure, "csl") for figure in (ACCURACY, LOWEST)]
        counts = " and ".join(f"{len(those_higher(each))} of {len(each)}" for each in gains)
        parts.append(f"{counts} methods at a share of {share_text(extract)}")
    sentence = (
        "Gains over CSL in mean class accuracy and in the lowest recall of a class are shown for "
        f"{listed(parts)}{_missing(names, studies)}."
    )
    shown = f"![Gain over CSL against the share of images whose cue misleads](images/{picture})"
    differences = differences_table(list(here.values()), methods)
    beside = _beside_rivals(list(here.values())[-1])
    return Answer(sentence, f"{shown}\n\n{beside}".rstrip(), how_sure(here, differences), folded(_FOLDED, differences))


where_a_cue_misleads = functools.partial(_over_shares, FRAMES, "results_frame.png")
where_a_drawn_cue_misleads = functools.partial(_over_shares, DECOYS, "results_decoy.png")


def which_method(studies: Studies) -> Answer:
    """All methods on the perfect trap."""
    extract = studies.get("frame_100")
    if extract is None:
        return _not_run(["frame_100"])
    methods = [method for method in in_order(list(extract.titles)) if method in extract.baselines]
    compared = [method for method in methods if extract.baselines[method] == "csl"]
    gains, lowest = (differences_of(extract, compared, figure) for figure in (ACCURACY, LOWEST))
    sentence = (
        f"Beside CSL, mean class accuracy is {verdicts(extract, ACCURACY, gains)}, and the lowest recall of a class is "
        f"{verdicts(extract, LOWEST, lowest)}."
    )
    shown = differences_table([extract], [methods])
    sure = how_sure({"": extract}, shown)
    return Answer(sentence, f"{shown}\n\n{_beside_rivals(extract)}".rstrip(), sure, _own_figures(extract))


def simple_rivals(studies: Studies) -> Answer:
    """Whether a simple use of the same boxes, boxes at random places, or more calls do as well."""
    extract = studies.get("frame_100")
    if extract is None:
        return _not_run(["frame_100"])
    rivals, methods = [rival for rival in RIVALS if rival in extract.titles], supervised(extract)
    if not rivals:
        return dataclasses.replace(_not_run(RIVALS), shown=f"- {_equal_calls(extract, methods)}")
    above = [_counted(extract, _above(extract, each, methods, rivals), len(methods)) for each in (ACCURACY, LOWEST)]
    sentence = (
        f"Mean class accuracy is shown to be above every simple rival's ({_names(extract, rivals)}) for {above[0]}, "
        f"and the lowest recall for {above[1]}{_missing(RIVALS, extract.titles)}."
    )
    lines = [
        f"{TITLES[figure].capitalize()}, beside {name_of(extract, rival)}, is "
        f"{verdicts(extract, figure, differences_of(extract, methods, figure, rival))}."
        for figure in (ACCURACY, LOWEST)
        for rival in rivals
    ]
    points = "\n".join(f"- {line}" for line in [*lines, _equal_calls(extract, methods)])
    shown = pairs_table(extract, [(method, rival) for rival in rivals for method in methods])
    return Answer(sentence, points, how_sure({"": extract}, shown), folded(_FOLDED, shown))


def do_answers_follow(studies: Studies) -> Answer:
    """Whether the outputs change where the map has moved."""
    extract = studies.get("frame_100")
    if extract is None:
        return _not_run(["frame_100"])
    methods = [m for m in in_order(list(extract.titles)) if extract.baselines.get(m) == "csl"]
    moved = those_higher(differences_of(extract, methods, figure_of(extract, "attention_inside")))
    relied = those_higher(differences_of(extract, moved, figure_of(extract, "lesion_reliance")))
    right = those_higher(differences_of(extract, moved, ACCURACY))
    sentence = (
        f"More attention inside the boxes of {extract.focus[0]} than with CSL is shown for {len(moved)} of "
        f"{len(methods)} methods; of these {len(moved)}, outputs that go more by the lesion are shown for "
        f"{len(relied)}, and a higher mean class accuracy for {len(right)}."
    )
    shown = differences_table([extract], [methods], FOLLOWING)
    return Answer(sentence, shown, how_sure({"": extract}, shown))


def made_boxes(studies: Studies) -> Answer:
    """Boxes of DSR and BMS in place of drawn ones."""
    extract = studies.get("frame_90_boxes")
    if extract is None:
        return _not_run(["frame_90_boxes"])
    methods = supervised(extract)
    beside = _beside_own_rival(extract, [method for method in methods if not is_drawn(method)], ACCURACY)
    if not beside:
        return _not_run(["frame_90_boxes with made boxes beside drawn ones"])
    sentence = (
        "Mean class accuracy with made boxes, beside the same method with drawn ones, is "
        f"{verdicts(extract, ACCURACY, beside)}."
    )
    shown = pairs_table(extract, _with_own_rivals(extract, [name for name in methods if not is_drawn(name)]))
    return Answer(sentence, shown, how_sure({"": extract}, shown), _all_figures(extract, methods))


def learned_boxes(studies: Studies) -> Answer:
    """Boxes on a share of the rare class's images; a mask head gives the others their masks."""
    extract = studies.get("isic_learned_boxes")
    if extract is None:
        return _not_run(["isic_learned_boxes"])
    methods = supervised(extract)
    learned = [method for method in methods if method.partition("@")[0] == LEARNED]
    attention = figure_of(extract, "attention_inside")
    moved, right = (_beside_own_rival(extract, learned, figure) for figure in (attention, ACCURACY))
    if not right:
        return _not_run(["isic_learned_boxes with learned masks beside the drawn boxes alone"])
    sentence = (
        f"Beside the same drawn boxes alone, attention inside the boxes of {extract.focus[0]} is "
        f"{verdicts(extract, attention, moved)}, and mean class accuracy is {verdicts(extract, ACCURACY, right)}."
    )
    shown = pairs_table(extract, _with_own_rivals(extract, learned), (*CALLS, "attention_inside"))
    return Answer(sentence, shown, how_sure({"": extract}, shown), _all_figures(extract, methods))


def where_nothing_misleads(studies: Studies) -> Answer:
    """ISIC 2018, all layers trained."""
    extract = studies.get("isic_full")
    if extract is None:
        return _not_run(["isic_full"])
    methods = supervised(extract)
    gains = differences_of(extract, methods, ACCURACY)
    sentence = (
        f"Mean class accuracy, beside the same training without attention, is {verdicts(extract, ACCURACY, gains)}."
    )
    shown = differences_table([extract], [methods])
    calls = _equal_calls(extract, methods)
    return Answer(sentence, f"{calls}\n\n{shown}", how_sure({"": extract}, shown), _own_figures(extract))


def what_did_not_help(studies: Studies) -> Answer:
    """Every method and simple rival in every comparison: higher, lower, not shown."""
    if not studies:
        return _not_run(STUDIES)
    tables: list[str] = []
    helped: set[str] = set()
    names: dict[str, str] = {}
    for figure in (ACCURACY, LOWEST):
        cells: dict[str, dict[str, str]] = {}  # by method: two with one name would hide each other
        for study, extract in studies.items():
            methods = [m for m in in_order(list(extract.titles)) if m.partition("@")[0] not in BASELINES]
            differences = differences_of(extract, methods, figure)
            helped |= set(those_higher(differences))
            for method, difference in differences.items():
                names.setdefault(method, name_of(extract, method))
                cells.setdefault(method, {})[study] = f"{_word(difference)} {difference_text(figure, difference)}"
        rows = [[names[method], *(own.get(study, "not run") for study in studies)] for method, own in cells.items()]
        tables += [table([TITLES[figure], *studies], rows)] if rows else []
    never = [name for method, name in names.items() if method not in helped]
    sentence = (
        f"No comparison shows a gain in mean class accuracy or in the lowest recall of a class for {len(never)} of "
        f"{len(names)} methods and simple rivals ({listed(never)})."
        if never
        else f"For each of {len(names)} methods and simple rivals, some comparison shows a gain in one of the two."
    )
    return Answer(sentence, "\n\n".join(["Minus each method's own baseline:", *tables]))


QUESTIONS: dict[str, Callable[[Studies], Answer]] = {
    "Does supervision of attention help where a cue misleads?": where_a_cue_misleads,
    "Which method helps most where the cue always misleads?": which_method,
    "Do simple rivals do as well?": simple_rivals,
    "Do the answers follow the map?": do_answers_follow,
    "Is it the same with a drawn cue?": where_a_drawn_cue_misleads,
    "Are boxes made by a program good enough?": made_boxes,
    "Can the network learn the boxes that are missing?": learned_boxes,
    "Does it help where nothing misleads?": where_nothing_misleads,
    "What did not help?": what_did_not_help,
}
_FOLDED = "All differences"


def _not_run(names: Sequence[str]) -> Answer:
    return Answer(f"Not run: {', '.join(names)}.")


def _missing(names: Sequence[str], present: Mapping[str, object]) -> str:
    missing = [name for name in names if name not in present]
    return f"; not run: {', '.join(missing)}" if missing else ""


def _names(extract: ComparisonExtract, methods: Sequence[str]) -> str:
    return listed([name_of(extract, method) for method in methods])


def _word(difference: KeptFigure) -> str:
    return "**higher**" if is_higher(difference) else "**lower**" if is_lower(difference) else "not shown"


def _counted(extract: ComparisonExtract, methods: Sequence[str], total: int) -> str:
    names = f" ({_names(extract, methods)})" if methods else ""
    return f"{len(methods) or 'none'} of {total} methods{names}"


def _above(extract: ComparisonExtract, figure: str, methods: Sequence[str], rivals: Sequence[str]) -> list[str]:
    """The methods for which a gain over every rival is shown."""
    beside = [those_higher(differences_of(extract, methods, figure, rival)) for rival in rivals]
    return [method for method in methods if beside and all(method in each for each in beside)]


def _beside_own_rival(extract: ComparisonExtract, methods: Sequence[str], figure: str) -> dict[str, KeptFigure]:
    """Differences of methods from what `rivals_of` compares each with."""
    found: dict[str, KeptFigure] = {}
    for method, rival in _with_own_rivals(extract, methods):
        found |= differences_of(extract, [method], figure, rival)
    return found


def _with_own_rivals(extract: ComparisonExtract, methods: Sequence[str]) -> list[tuple[str, str]]:
    return [(method, rival) for method in methods for rival in rivals_of(method, list(extract.titles))]


def _all_figures(extract: ComparisonExtract, methods: Sequence[str]) -> str:
    """Differences from the baseline, and every method's own figures."""
    differences = folded("Differences from the baseline", differences_table([extract], [methods]))
    return f"{differences}\n\n{_own_figures(extract)}"


def _own_figures(extract: ComparisonExtract) -> str:
    return folded("Every method's own figures, shares in percent", values_table(extract))


def _beside_rivals(extract: ComparisonExtract) -> str:
    """Says of the best supervised method whether a simple rival does as well, in each figure; "" without a rival."""
    lines = [line for figure in (ACCURACY, LOWEST) if (line := _best_beside_rivals(extract, figure))]
    meaning = "In brackets: it minus the rival; *as well*: no difference is shown."
    return "\n".join([f"Simple rivals. {meaning}\n", *lines]) if lines else ""


def _best_beside_rivals(extract: ComparisonExtract, figure: str) -> str:
    gains = differences_of(extract, supervised(extract), figure)
    best = max(gains, key=lambda method: gains[method].estimate.value or 0.0, default="")
    found = {rival: differences_of(extract, [best], figure, rival) for rival in RIVALS}
    beside = {rival: each[best] for rival, each in found.items() if each}
    if not beside:
        return ""
    texts = {rival: f"{name_of(extract, rival)} ({difference_text(figure, each)})" for rival, each in beside.items()}
    better = [texts[rival] for rival, each in beside.items() if is_lower(each)]
    as_well = [texts[rival] for rival, each in beside.items() if not is_lower(each) and not is_higher(each)]
    parts = [f"**better** {listed(better)}"] if better else []
    parts += [f"**as well** {listed(as_well)}"] if as_well else []
    others = [rival for rival in RIVALS if rival not in beside]
    parts = parts or [f"no simple rival {'compared ' if others else ''}does as well"]
    parts += [f"not compared: {_names(extract, others)}"] if others else []
    own = f"{name_of(extract, best)}, the best at a share of {share_text(extract)}"
    return f"- {TITLES[figure].capitalize()}, beside {own}: {'; '.join(parts)}."


def _equal_calls(extract: ComparisonExtract, methods: Sequence[str]) -> str:
    """Whether calling the class as often gives the baseline the same recall."""
    recall, calls = figure_of(extract, "recall"), figure_of(extract, "recall_at_equal_calls")
    risen = those_higher(differences_of(extract, methods, recall))
    left = those_higher(differences_of(extract, risen, calls))
    shown = _counted(extract, risen, len(methods))
    text = f"A higher {titled(extract, 'recall')} than the baseline's is shown for {shown}"
    if not risen:
        return f"{text}."
    rest = _counted(extract, left, len(risen))
    return f"{text}; where the baseline calls {extract.focus[0]} as often, a gain is left for {rest}."
