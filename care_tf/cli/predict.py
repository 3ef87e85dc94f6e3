"""`care predict`: its place."""

import click

from care_tf.cli.commands import Command
from care_tf.errors import InputError


@click.command(
    "predict",
    cls=Command,
    hidden=True,
    context_settings={"ignore_unknown_options": True},
    example="care predict runs/isic2018/care images/*.jpg --output predictions",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def predict(words: tuple[str, ...]) -> None:
    """Not available yet: export a run and call the exported model."""
    raise InputError(
        "The command care predict is not available yet. Export the run (care export RUN --output FOLDER) and "
        "see docs/serving.md."
    )
