"""Whether attention supervision has something to correct: a rule on intervals, and what to say."""

from typing import Literal, NamedTuple

from care_tf.evaluation.headline import as_interval, as_value
from care_tf.evaluation.pictures import percent
from care_tf.evaluation.scores import ClassScores, Estimate

MIN_GROUPS = 10
"""Patients or lesions below which nothing is decided: an interval by resampling so few is too narrow."""
SMALLEST_EFFECT = 0.05
"""Lesion reliance, in either direction, below which nothing is decided: an interval narrow enough excludes 0 anyhow."""
LOWEST_RECALL = 0.05
"""Recall of the images checked up to which a network that relies on neither is said to have no opinion."""

SWAP = "care.form={name: perturbation, kind: swap}"
"""The setting to try where the outputs go by what surrounds the lesion."""

Outcome = Literal["correct", "map_disagrees", "nothing", "too_small", "undecided"]

_TRY = (
    f"Try '{SWAP}', with boxes on every class that the cue tells apart, and check again: outputs need not follow a map "
    "that was moved."
)
_UNDECIDED = "It cannot be decided whether attention supervision has something to correct: "


class CueVerdict(NamedTuple):
    """What a check found, the sentence that says so, and where there is something to correct one on what to try."""

    outcome: Outcome
    sentence: str


def cue_verdict(scores: ClassScores, num_groups: int, beyond_uniform: Estimate) -> CueVerdict:
    """Decides by the interval and the size of the class's lesion reliance, then by the interval of its attention.

    | lesion reliance | attention beyond a uniform map | outcome |
    |---|---|---|
    | interval below 0 | interval not above 0 | "correct": the outputs go by the surroundings, and so does the map |
    | interval below 0 | interval above 0 | "map_disagrees": they do, though the map lies on the lesion |
    | interval above 0 | any | "nothing": the outputs go by the lesion |
    | interval excludes 0, but less than `SMALLEST_EFFECT` either way | any | "too_small": too small to matter |
    | interval includes 0 or is undefined, or fewer than `MIN_GROUPS` groups | any | "undecided" |

    Where a small or unclear reliance goes with a recall of at most `LOWEST_RECALL`, the sentence adds that the network
    has no opinion to explain. A large one is an opinion even so: without a cue of another class, this class is called.

    Args:
      scores: Of the class.
      num_groups: Patients or lesions of the class that were checked.
      beyond_uniform: The class's mean attention inside the box minus that of a uniform map, on the same images.
    """
    unclear = _unclear(scores, num_groups)
    return unclear if unclear is not None else _decided(scores, beyond_uniform)


def _unclear(scores: ClassScores, num_groups: int) -> CueVerdict | None:
    """What is said where the lesion reliance decides nothing; None where it does."""
    reliance, name = scores.lesion_reliance, scores.name
    if num_groups < MIN_GROUPS:
        return CueVerdict(
            "undecided",
            f"{_UNDECIDED}{num_groups} patients or lesions of {name} with boxes were checked, and fewer than "
            f"{MIN_GROUPS} are too few.",
        )
    if reliance.value is None or reliance.low is None:
        return CueVerdict("undecided", f"{_UNDECIDED}the lesion reliance of {name} has no interval on these images.")
    if not reliance.excludes_zero:
        sentence = f"{_UNDECIDED}the interval of the lesion reliance of {name}, {_interval(scores)}, includes 0"
        return CueVerdict("undecided", f"{sentence}{_no_opinion(scores)}.")
    if abs(reliance.value) < SMALLEST_EFFECT:
        return CueVerdict(
            "too_small",
            "Nothing is shown that attention supervision could correct: the lesion and what surrounds it move the "
            f"outputs for {name} so nearly alike that the difference is too small to matter ({_found(scores)}, less "
            f"than {100 * SMALLEST_EFFECT:.0f} points){_no_opinion(scores)}.",
        )
    return None


def _decided(scores: ClassScores, beyond_uniform: Estimate) -> CueVerdict:
    name, found = scores.name, _found(scores)
    if (scores.lesion_reliance.low or 0) > 0:
        return CueVerdict(
            "nothing",
            f"Nothing is shown that attention supervision could correct: the outputs for {name} go by the lesion more "
            f"than by what surrounds it ({found}).",
        )
    if beyond_uniform.low is not None and beyond_uniform.low > 0:
        return CueVerdict(
            "map_disagrees",
            f"The outputs for {name} go by what surrounds the lesion more than by the lesion ({found}), although the "
            "attention lies on it more than a uniform map does: attention supervision that moves the map further may "
            f"change nothing. {_TRY}",
        )
    return CueVerdict(
        "correct",
        f"Attention supervision has something to correct: the outputs for {name} go by what surrounds the lesion more "
        f"than by the lesion ({found}), and the attention lies on it no more than a uniform map does. "
        f"{_TRY}",
    )


def _no_opinion(scores: ClassScores) -> str:
    recall = scores.right_checked.value
    if recall is None or recall > LOWEST_RECALL:
        return ""
    return (
        f"; of the images checked as they are, the network calls {percent(recall, 0)} {scores.name}, and so it has no "
        "opinion to explain"
    )


def _interval(scores: ClassScores) -> str:
    return as_interval("lesion_reliance/", scores.lesion_reliance)


def _found(scores: ClassScores) -> str:
    return (
        f"lesion reliance {as_value('lesion_reliance/', scores.lesion_reliance.value)}, 95 % interval "
        f"{_interval(scores)}"
    )
