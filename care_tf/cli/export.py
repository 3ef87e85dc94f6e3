"""`care export`."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.errors import InputError
from care_tf.files import check_suffix
from care_tf.tensorflow_start import quiet_tensorflow

if TYPE_CHECKING:
    from care_tf.runs import LoadedRun


@click.command("export", cls=Command, example="care export runs/isic2018/care served/isic2018")
@options.run
@click.argument("out", type=options.PATH, required=False)
@options.output(help="Folder or file to write: OUT by another name.", required=False)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["savedmodel", "tflite", "onnx"]),
    default="savedmodel",
    help="What to write: a folder with everything, or a file that only classifies.",
    show_default=True,
)
@options.image_size(help="Size the classifier works at; clients may send any. [default: as in training]")
def export(
    run: Path, out: Path | None, output: Path | None, format_name: str, image_size: tuple[int, int] | None
) -> None:
    """Write the model of a run: SavedModel, TFLite or ONNX.

    The SavedModel needs only TensorFlow: it resizes, preprocesses, classifies and explains. The other two (OUT.tflite,
    OUT.onnx) resize, preprocess and classify.
    """
    path = out if output is None else output
    if path is None or (out is not None and output is not None):
        raise InputError("Give what to write once, as OUT or as --output.")
    if format_name != "savedmodel":
        check_suffix(path, f".{format_name}")
    quiet_tensorflow()
    from care_tf.runs import load_run
    from care_tf.serving import convert_to_onnx, convert_to_tflite

    if format_name == "savedmodel":
        write_saved_model(load_run(run), path, image_size)
        return
    with tempfile.TemporaryDirectory() as folder:
        _export(load_run(run), Path(folder) / "model", image_size)
        convert = convert_to_tflite if format_name == "tflite" else convert_to_onnx
        convert(Path(folder) / "model", path)
    print(f"wrote {path}")


def write_saved_model(run: "LoadedRun", folder: Path, image_size: tuple[int, int] | None = None) -> None:
    """Exports a run and says so; without a size, the model works at that of the training."""
    _export(run, folder, image_size)
    print(f"wrote {folder}")


def _export(run: "LoadedRun", folder: Path, image_size: tuple[int, int] | None) -> None:
    from care_tf.serving import export_saved_model

    run.check_needs_no_boxes()
    export_saved_model(
        run.care_model,
        folder,
        preprocess=run.preprocess,
        image_size=image_size or run.image_size,
        class_names=run.class_names,
        **run.config.data.reading,
        inputs=run.inputs,
        decision=run.decision,
        focus_class=run.focus_class,
    )
