"""Whether attention supervision has something to correct: a rule on intervals, and what to say."""

from typing import Literal, NamedTuple

from care_tf.evaluation.headline import as_interval, as_value
from care_tf.evaluation.scores import ClassScores, Estimate

MIN_GROUPS = 10
"""Patients or lesions below which nothing is decided: an interval by resampling so few is too narrow."""

Outcome = Literal["correct", "map_disagrees", "nothing", "undecided"]


class CueVerdict(NamedTuple):
    """What a check found, and the sentence that says so."""

    outcome: Outcome
    sentence: str


def cue_verdict(scores: ClassScores, num_groups: int, beyond_uniform: Estimate) -> CueVerdict:
    """Decides by the interval of the class's lesion reliance, then by that of its attention.

    | lesion reliance | attention beyond a uniform map | outcome |
    |---|---|---|
    | interval below 0 | interval not above 0 | "correct": the outputs go by the surroundings, and so does the map |
    | interval below 0 | interval above 0 | "map_disagrees": they do, though the map lies on the lesion |
    | interval above 0 | any | "nothing": the outputs go by the lesion |
    | holds 0, undefined, or fewer than `MIN_GROUPS` groups | any | "undecided" |

    Args:
      scores: Of the class.
      num_groups: Patients or lesions of the class that were checked.
      beyond_uniform: The class's mean attention inside the box minus that of a uniform map, on the same images.
    """
    reliance, name = scores.lesion_reliance, scores.name
    if num_groups < MIN_GROUPS:
        return CueVerdict(
            "undecided",
            f"It cannot be decided whether attention supervision has something to correct: {num_groups} patients or "
            f"lesions of {name} with boxes were checked, and fewer than {MIN_GROUPS} are too few.",
        )
    if not reliance.excludes_zero or reliance.high is None:
        return CueVerdict(
            "undecided",
            "It cannot be decided whether attention supervision has something to correct: the interval of the lesion "
            f"reliance of {name}, {as_interval('', reliance)}, holds 0.",
        )
    found = f"lesion reliance {as_value('', reliance.value)}, 95 % interval {as_interval('', reliance)}"
    if reliance.high > 0:
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
            "change nothing.",
        )
    return CueVerdict(
        "correct",
        f"Attention supervision has something to correct: the outputs for {name} go by what surrounds the lesion more "
        f"than by the lesion ({found}), and the attention lies on it no more than a uniform map does.",
    )
