"""`care check`."""

from pathlib import Path
from typing import Any

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.tensorflow_start import quiet_tensorflow


@click.command("check", cls=Command, example="care check runs/isic2018/baseline --output check.html")
@options.run
@options.output(help="The page (HTML). [default: check.html in the run folder]", required=False)
@options.overwrite
@options.chosen_rows("the run's", "test")
@options.check_images(min=1)
@options.resamples
def check(run: Path, output: Path | None, overwrite: bool, **choices: Any) -> None:
    """Check whether a run goes by the lesion or by a cue around it.

    On images with boxes: what the outputs lose without the lesion and without all else, where the attention lies, and
    whether attention supervision has something to correct.
    """
    if output is not None:
        options.refuse_existing(output, overwrite)
    quiet_tensorflow()
    from care_tf.runs.run_check import check_run

    print(check_run(run, output, **choices))
