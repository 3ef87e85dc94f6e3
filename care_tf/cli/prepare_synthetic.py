"""`care prepare synthetic`."""

from pathlib import Path

import click

from care_tf.cli import options
from care_tf.cli.commands import Command


@click.command("synthetic", cls=Command, example="care prepare synthetic --output lesions")
@options.output(help="Folder to write; must not exist or be empty.")
@options.seed
@options.image_size(help="Side of the square images, px.", default="80", formerly="--size-px")
@options.overwrite
def synthetic(output: Path, seed: int, image_size: tuple[int, int], overwrite: bool) -> None:
    """Draw skin lesions with a misleading cue.

    Writes images, manifest.csv, and truth.csv, which has box and cue of every image.
    """
    from care_tf.datasets.synthetic_lesions import SyntheticLesions

    lesions = SyntheticLesions(seed=seed, size_px=options.one_side(image_size, "the images are square"))
    print(f"{lesions.write(output, overwrite=overwrite)} lists {lesions.num_images} images")
