"""`care predict`."""

import sys
from pathlib import Path

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.tensorflow_start import quiet_tensorflow


@click.command("predict", cls=Command, example="care predict runs/isic2018/care images --output predictions")
@click.argument("model", type=options.MODEL, metavar="RUN|SAVED_MODEL")
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@options.output(help="Folder to write to; a second call adds to it.")
@options.option("--sort-by", metavar="CLASS", help="The page's order. [default: the class in focus in training]")
@options.option("--no-heatmaps", is_flag=True, help="Predict only, without attention maps: faster.")
@options.option("--batch-size", type=options.whole_number, default=32, help="Images at a time.")
def predict(
    model: Path, images: tuple[str, ...], output: Path, sort_by: str | None, no_heatmaps: bool, batch_size: int
) -> None:
    """Predict images with a run or an exported model.

    IMAGES are PNG, JPEG, TIFF and DICOM files, folders of them, quoted patterns, text files of paths, or CSV files with
    a column image. Writes predictions.csv, heatmaps of the attention, and index.html to look at them; what cannot be
    read is listed in bad_images.csv. Started again, the same command continues where it stopped.
    """
    quiet_tensorflow()
    from care_tf.serving import load
    from care_tf.serving.prediction_folder import predict_folder

    heatmaps = not no_heatmaps
    try:
        print(predict_folder(load(model), images, output, sort_by=sort_by, heatmaps=heatmaps, batch_size=batch_size))
    except KeyboardInterrupt:
        print("stopped; what is finished is kept: the same command continues from there", file=sys.stderr)
        raise
