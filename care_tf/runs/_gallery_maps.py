"""The gallery of a run's report: its mistakes, and a few right images of every class, with their maps."""

from collections.abc import Sequence

from care_tf.evaluation import GalleryGroup
from care_tf.evaluation.gallery_choice import GalleryChoice, chosen_mistakes, chosen_right
from care_tf.evaluation.pictures import percent, shortened
from care_tf.runs._example_maps import drawn_examples
from care_tf.runs._run_predictions import EvaluatedRun


def gallery_groups(
    own: EvaluatedRun, baseline: EvaluatedRun | None, names: tuple[str, str], focus: str
) -> tuple[list[GalleryGroup], list[GalleryGroup]]:
    """The mistakes of a run, and images that are right.

    Args:
      own: The run.
      baseline: Another run on the same images, whose predictions are written below them, or None.
      names: What the baseline and the run are called.
      focus: The class in focus, whose mistakes come first.
    """
    rows, probabilities = own.rows, own.predictions.probabilities
    mistakes = chosen_mistakes(rows.labels, probabilities, rows.class_names, focus)
    right = chosen_right(rows.labels, probabilities, rows.class_names)
    positions = [position for choice in (*mistakes, *right) for position in choice.positions]
    notes = ["" if baseline is None else _prediction(baseline, shortened(names[0]), position) for position in positions]
    examples = drawn_examples(own.run, rows.subset(positions), probabilities[positions]) if positions else []
    drawn = {place: {**example, "note": note} for place, example, note in zip(positions, examples, notes, strict=True)}

    def groups(choices: Sequence[GalleryChoice]) -> list[GalleryGroup]:
        return [GalleryGroup(each.title, [drawn[i] for i in each.positions], each.total) for each in choices]

    return groups(mistakes), groups(right)


def _prediction(baseline: EvaluatedRun, name: str, position: int) -> str:
    probabilities = baseline.predictions.probabilities[position]
    guess = int(probabilities.argmax())
    return f"{name}: {baseline.rows.class_names[guess]} {percent(float(probabilities[guess]), 0)}"
