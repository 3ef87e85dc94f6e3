"""`care export`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.errors import InputError
from care_tf.tensorflow_start import quiet_tensorflow

if TYPE_CHECKING:
    from care_tf.runs import LoadedRun


@click.command("export", cls=Command, example="care export runs/isic2018/care served/isic2018")
@options.run
@click.argument("out", type=options.PATH, required=False)
@options.output(help="Folder of the SavedModel: OUT by another name.", required=False)
@options.image_size(help="Size the classifier works at; clients may send any. [default: as in training]")
def export(run: Path, out: Path | None, output: Path | None, image_size: tuple[int, int] | None) -> None:
    """Write the model of a run as a SavedModel.

    The SavedModel needs only TensorFlow: it resizes, preprocesses, classifies and explains.
    """
    folder = out if output is None else output
    if folder is None or (out is not None and output is not None):
        raise InputError("Give the folder of the SavedModel once, as OUT or as --output.")
    quiet_tensorflow()
    from care_tf.runs import load_run

    write_saved_model(load_run(run), folder, image_size)


def write_saved_model(run: "LoadedRun", folder: Path, image_size: tuple[int, int] | None = None) -> None:
    """Exports a run and says so; without a size, the model works at that of the training."""
    from care_tf.serving import export_saved_model

    export_saved_model(
        run.care_model,
        folder,
        preprocess=run.preprocess,
        image_size=image_size or run.image_size,
        class_names=run.class_names,
        max_pixel_value=run.config.data.max_pixel_value,
    )
    print(f"wrote {folder}")
