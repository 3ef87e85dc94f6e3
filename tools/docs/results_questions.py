"""The questions of the results page, and what the comparisons at hand answer: every sentence is made of the figures."""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence

from results_tables import (
    ACCURACY,
    FOLLOWING,
    LOWEST,
    differences_table,
    figure_of,
    folded,
    how_sure,
    rivals_table,
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
from care_tf.runs.comparison_extract import ComparisonExtract

FRAMES = ("frame_50", "frame_70", "frame_90", "frame_100")
DECOYS = ("decoy_90", "decoy_100")
STUDIES = (*FRAMES, *DECOYS, "frame_100_boxes", "isic_full")
"""The comparisons that the page knows."""
SWEPT = ("care_masked", "care_masked_both", "energy", "perturbation", "paint")
"""The methods whose gain is drawn against the share."""

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
    return ("cue", "pair") if study in (*FRAMES, *DECOYS, "frame_100_boxes") else (None, None)


def rivals_of(method: str, methods: Sequence[str]) -> list[str]:
    """What a method is compared with beside its baseline: the simple rivals, or itself with drawn boxes."""
    own = method.partition("@")[0]
    if own in (*BASELINES, *RIVALS):
        return []
    if not is_drawn(method):
        return [other for other in methods if other.partition("@")[0] == own and is_drawn(other)][:1]
    return [rival for rival in RIVALS if rival in methods]


def check_studies(studies: Studies) -> None:
    """Refuses a comparison that is not known, or whose share of misleading images is not that of its name."""
    for name, extract in studies.items():
        if name not in STUDIES:
            raise InputError(f"A comparison of the results page is one of {', '.join(STUDIES)}. Received {name}.")
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
    methods = [[m for m in in_order(list(each.titles)) if m in SWEPT] for each in here.values()]
    parts = []
    for extract, own in zip(here.values(), methods, strict=True):
        gains, lowest = (differences_of(extract, own, figure) for figure in (ACCURACY, LOWEST))
        counts = f"{len(those_higher(gains))} and {len(those_higher(lowest))} of {len(gains)}"
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
    gains = differences_of(extract, [method for method in methods if extract.baselines[method] == "csl"], ACCURACY)
    sentence = f"Mean class accuracy, beside CSL, is {verdicts(extract, ACCURACY, gains)}."
    shown = differences_table([extract], [methods])
    sure = how_sure({"": extract}, shown)
    return Answer(sentence, f"{shown}\n\n{_beside_rivals(extract)}".rstrip(), sure, _own_figures(extract))


def simple_rivals(studies: Studies) -> Answer:
    """Whether a simple use of the same boxes, boxes at random places, or more calls do as well."""
    extract = studies.get("frame_100")
    if extract is None:
        return _not_run(["frame_100"])
    rivals, methods = [rival for rival in RIVALS if rival in extract.titles], supervised(extract)
    beside = {rival: differences_of(extract, methods, ACCURACY, rival) for rival in rivals}
    better = [m for m in methods if rivals and all(m in each and is_higher(each[m]) for each in beside.values())]
    sentence = (
        f"Mean class accuracy above that of every simple rival ({', '.join(name_of(extract, r) for r in rivals)}) is "
        f"shown for {_counted(extract, better, len(methods))}{_missing(RIVALS, extract.titles)}."
    )
    lines = [
        f"Beside {name_of(extract, rival)}, mean class accuracy is {verdicts(extract, ACCURACY, beside[rival])}."
        for rival in rivals
    ]
    points = "\n".join(f"- {line}" for line in [*lines, _equal_calls(extract, methods)])
    shown = rivals_table(extract, methods, rivals)
    return Answer(sentence, f"{points}\n\n{shown}", how_sure({"": extract}, shown))


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
    extract = studies.get("frame_100_boxes")
    if extract is None:
        return _not_run(["frame_100_boxes"])
    methods = supervised(extract)
    beside = {
        name: difference
        for method in methods
        if not is_drawn(method)
        for drawn in rivals_of(method, methods)
        for name, difference in differences_of(extract, [method], ACCURACY, drawn).items()
    }
    if not beside:
        return _not_run(["frame_100_boxes with made boxes beside drawn ones"])
    sentence = (
        "Mean class accuracy with made boxes, beside the same method with drawn ones, is "
        f"{verdicts(extract, ACCURACY, beside)}."
    )
    shown = differences_table([extract], [methods])
    return Answer(sentence, shown, how_sure({"": extract}, shown), _own_figures(extract))


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
    """Every method in every comparison: higher, lower, not shown."""
    if not studies:
        return _not_run(STUDIES)
    cells: dict[str, dict[str, str]] = {}
    for study, extract in studies.items():
        methods = [method for method in in_order(list(extract.titles)) if method not in BASELINES]
        for method, difference in differences_of(extract, methods, ACCURACY).items():
            word = "**higher**" if is_higher(difference) else "**lower**" if is_lower(difference) else "not shown"
            text = f"{word} {difference_text(ACCURACY, difference)}"
            cells.setdefault(name_of(extract, method), {})[study] = text
    never = [name for name, own in cells.items() if not any(text.startswith("**higher**") for text in own.values())]
    sentence = (
        f"No comparison shows a gain in mean class accuracy for {len(never)} of {len(cells)} methods ({listed(never)})."
        if never
        else f"For each of {len(cells)} methods, some comparison shows a gain in mean class accuracy."
    )
    rows = [[name, *(own.get(study, "not run") for study in studies)] for name, own in cells.items()]
    return Answer(sentence, f"Minus each method's own baseline:\n\n{table(['method', *studies], rows)}")


QUESTIONS: dict[str, Callable[[Studies], Answer]] = {
    "Does supervision of attention help where a cue misleads?": where_a_cue_misleads,
    "Which method helps most where the cue always misleads?": which_method,
    "Do simple rivals do as well?": simple_rivals,
    "Do the answers follow the map?": do_answers_follow,
    "Is it the same with a drawn cue?": where_a_drawn_cue_misleads,
    "Are boxes made by a program good enough?": made_boxes,
    "Does it help where nothing misleads?": where_nothing_misleads,
    "What did not help?": what_did_not_help,
}
_FOLDED = "All differences"


def _not_run(names: Sequence[str]) -> Answer:
    return Answer(f"Not run: {', '.join(names)}.")


def _missing(names: Sequence[str], present: Mapping[str, object]) -> str:
    missing = [name for name in names if name not in present]
    return f"; not run: {', '.join(missing)}" if missing else ""


def _counted(extract: ComparisonExtract, methods: Sequence[str], total: int) -> str:
    names = f" ({listed([name_of(extract, method) for method in methods])})" if methods else ""
    return f"{len(methods) or 'none'} of {total} methods{names}"


def _own_figures(extract: ComparisonExtract) -> str:
    return folded("Every method's own figures, shares in percent", values_table(extract))


def _beside_rivals(extract: ComparisonExtract) -> str:
    """Says of the method with the largest gain whether a simple rival does as well; "" where no rival was run."""
    gains = differences_of(extract, supervised(extract), ACCURACY)
    rivals = [rival for rival in RIVALS if rival in extract.titles]
    if not gains or not rivals:
        return ""
    best = max(gains, key=lambda method: gains[method].estimate.value or 0.0)
    found = {rival: differences_of(extract, [best], ACCURACY, rival) for rival in rivals}
    beside = {rival: each[best] for rival, each in found.items() if each}
    texts = {rival: f"{name_of(extract, rival)} ({difference_text(ACCURACY, each)})" for rival, each in beside.items()}
    better = [texts[rival] for rival, each in beside.items() if is_lower(each)]
    as_well = [texts[rival] for rival, each in beside.items() if not is_lower(each) and not is_higher(each)]
    own = f"{name_of(extract, best)}, which gains most at a share of {share_text(extract)}"
    if not better and not as_well:
        return f"No simple rival that was run does as well as {own}."
    parts = [f"**Better** than {own}: {listed(better)}."] if better else []
    parts += [f"**As well** as {own}: {listed(as_well)}."] if as_well else []
    meaning = "In brackets its mean class accuracy minus the rival's; *as well*: no difference is shown."
    return f"Simple rivals. {' '.join(parts)} {meaning}"


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
