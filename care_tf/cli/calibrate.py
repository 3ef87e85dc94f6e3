"""`care calibrate`."""

from pathlib import Path

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.tensorflow_start import quiet_tensorflow


@click.command("calibrate", cls=Command, example="care calibrate runs/isic2018/care_validated --rule sensitivity=.9")
@options.run
@click.option(
    "--rule",
    default="f1",
    help="What a class's threshold is chosen for: f1, youden, or the most of the other where sensitivity=NUMBER or "
    "specificity=NUMBER is kept.",
)
@options.chosen_rows("the run's", "validation")
def calibrate(run: Path, rule: str, manifest: Path | None, split: str | None, folds: list[str] | None) -> None:
    """Choose a threshold for each class.

    Calibrates the probabilities first. On validation images, never those of the training. decision.json in the run
    folder is what care evaluate judges, care export writes into the model and care predict goes by.
    """
    from care_tf.evaluation.decision_thresholds import Rule

    chosen = Rule.parse(rule)  # before TensorFlow starts
    quiet_tensorflow()
    from care_tf.runs.run_calibration import calibrate_run

    print(calibrate_run(run, chosen, manifest, split, folds))
