"""`care evaluate`."""

from pathlib import Path
from typing import Any

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.tensorflow_start import quiet_tensorflow


@click.command("evaluate", cls=Command, example="care evaluate runs/isic2018/care --baseline runs/isic2018/baseline")
@options.run
@options.chosen_rows("the run's", "test")
@click.option("--baseline", type=options.RUN, help="Another run folder, compared on the same images.")
@options.output(help="Folder to write to. [default: the run folder]", required=False)
@options.resamples
@options.group
@options.pairs
@options.check_images(min=0)
def evaluate(run: Path, **choices: Any) -> None:
    """Evaluate a run on labeled images.

    Writes metrics.json, predictions.csv and report.html, and prints the main figures.
    """
    quiet_tensorflow()
    from care_tf.runs import evaluate_run

    print(evaluate_run(run, **choices))
