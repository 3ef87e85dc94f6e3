"""`care maps`."""

from pathlib import Path

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.tensorflow_start import quiet_tensorflow


@click.command("maps", cls=Command, example="care maps runs/isic2018/csl runs/isic2018/care_csl --output maps.png")
@click.argument("runs", nargs=-1, required=True, type=options.RUN, metavar="RUN...")
@options.output(help="The picture (PNG).")
@options.overwrite
@click.option(
    "--images", type=options.Words(), metavar="NAME,...", help="Which images. [default: the rarest class's, with boxes]"
)
@options.chosen_rows("the first run's", "test")
@click.option("--count", "num_images", type=options.whole_number, default=6, help="How many, without --images.")
def maps(
    runs: tuple[Path, ...],
    output: Path,
    overwrite: bool,
    images: list[str] | None,
    manifest: Path | None,
    split: str | None,
    folds: list[str] | None,
    num_images: int,
) -> None:
    """Draw attention maps of several runs side by side.

    A row is an image with its box, a column a run: where it looks for the true class, and what it predicts.
    """
    options.refuse_existing(output, overwrite)
    quiet_tensorflow()
    from care_tf.runs.run_maps import write_run_maps

    rows = write_run_maps(runs, output, images or (), manifest, split, folds, num_images)
    print(f"wrote {output}: {len(rows)} images, {len(runs)} runs")
