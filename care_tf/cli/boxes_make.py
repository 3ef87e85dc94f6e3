"""`care boxes make`."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.errors import InputError
from care_tf.problems import MAX_LISTED
from care_tf.progress_journal import remove_finished
from care_tf.tensorflow_start import one_image_per_core, quiet_tensorflow

if TYPE_CHECKING:
    from care_tf.boxes.making.manifest_boxes import MadeBoxes
    from care_tf.boxes.making.methods import SaliencyMethod

_BOX_SETTINGS = ("threshold", "min_area_fraction", "boxes", "max_boxes", "scale")


def _number_or_word(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@click.command(
    "make", cls=Command, example="care boxes make manifest.csv --method dsr --classes DF,VASC --output boxes.csv"
)
@options.manifest
@click.option("--method", required=True, help="dsr, bms, segmentation, attention, or module:function of your own.")
@options.classes(help="Classes whose images get boxes.", required=True)
@options.output(help="The new manifest (CSV), with all rows.")
@options.overwrite
@click.option("--split", help="Only images of this split.")
@options.folds(help="Only images of these folds.")
@click.option(
    "--existing",
    type=click.Choice(["replace", "keep"]),
    default="replace",
    help="An image that has boxes or a mask: replace them, or keep them and leave it out.",
)
@click.option(
    "--threshold",
    type=_number_or_word,
    metavar="NUMBER|WORD",
    help="Where a map becomes a region: a number in (0, 1), otsu or adaptive. [default: 0.15 for dsr, 0.2 for bms, "
    "otherwise 0.5]",
)
@click.option("--min-area-fraction", type=float, help="Drop regions below this share of the image. [default: 0.01]")
@click.option(
    "--boxes",
    type=click.Choice(["one", "largest", "each"]),
    help="One box around all regions, the largest region's, or one for each. [default: largest; one for attention and "
    "a function of your own]",
)
@click.option("--max-boxes", type=int, help="With --boxes each: the largest so many regions. [default: all]")
@click.option("--scale", type=float, help="Box side / tight side, 0.7 to 1.1. [default: 1]")
@click.option(
    "--keep-maps", "maps_folder", type=options.PATH, help="Folder to save the maps in, as 8-bit PNG to look at."
)
@click.option(
    "--model", type=options.PATH, help="segmentation: folder of care segment train, Keras model file or SavedModel."
)
@click.option("--run", type=options.PATH, help="attention: a finished run, whose maps of the true class are boxed.")
@click.option(
    "--training-manifest",
    type=options.PATH,
    help="segmentation, one model: what it was trained on. attention: the same. [default: the run's own rows]",
)
@click.option("--trained-elsewhere", is_flag=True, help="One model or run: you vouch that it saw none of the images.")
@options.max_pixel_value
@options.workers()
@options.backend
@options.scheduler
@click.option("--strict", is_flag=True, help="Exit code 2 if any image failed.")
def make(manifest: Path, output: Path, overwrite: bool, strict: bool, **choices: Any) -> None:
    """Draw boxes without annotators.

    A saliency method or a segmentation network draws them for some classes of a manifest. Started again after a kill,
    the same command continues where it stopped. Beside the output, NAME.details.csv says what became of every image.
    """
    remove_finished(output)
    options.refuse_existing(output, overwrite)
    one_image_per_core()
    if choices["method"] in ("segmentation", "attention"):
        quiet_tensorflow()
    made = _made_boxes(manifest, output, choices)
    from care_tf.boxes.box_details import details_path

    _report(made)
    print(f"wrote {output} and {details_path(output)}")
    if strict and made.rows("failed"):
        raise InputError(f"--strict: {len(made.rows('failed'))} images failed; {output} was written all the same.")


def _made_boxes(manifest: Path, output: Path, choices: dict[str, Any]) -> "MadeBoxes":
    from care_tf.boxes.making.manifest_boxes import make_boxes
    from care_tf.boxes.making.methods import box_settings_of
    from care_tf.boxes.making.one_image import BoxSettings
    from care_tf.data.manifest import read_manifest
    from care_tf.workers import Workers

    # A corrupt image is one failed image, not the end of the run: headers are not checked here.
    largest = choices.pop("max_pixel_value")
    rows = read_manifest(manifest, check_images=False, max_pixel_value=largest)
    trained = {name: choices.pop(name) for name in ("model", "run", "training_manifest", "trained_elsewhere")}
    name = choices.pop("method")
    method = _method(name, largest, **trained)
    rows = dataclasses.replace(rows, max_pixel_value=getattr(method, "max_pixel_value", largest))
    settings = {key: choices.pop(key) for key in _BOX_SETTINGS}
    settings = box_settings_of(name) | {key: value for key, value in settings.items() if value is not None}
    workers = Workers(*(choices.pop(key) for key in ("backend", "workers", "scheduler")))
    try:
        return make_boxes(rows, method, BoxSettings(**settings), output=output, workers=workers, **choices)
    except KeyboardInterrupt:
        print("stopped; what is finished is kept: the same command continues from there", file=sys.stderr)
        raise


def _method(
    name: str, max_pixel_value: int | None, model: Path | None, run: Path | None, **trained: Any
) -> "SaliencyMethod":
    """The method of a name; attention is brought here, since boxes know nothing of runs."""
    if (name == "attention") != (run is not None) or (run is not None and model is not None):
        raise InputError(
            f"The method attention takes a run (--run), segmentation a model (--model). Received {name}, run {run}, "
            f"model {model}."
        )
    if run is not None:
        from care_tf.runs.attention_boxes import attention_method

        method = attention_method(run, **trained)
        if max_pixel_value not in (None, method.max_pixel_value):
            raise InputError(
                f"--max-pixel-value must be the run's own, {method.max_pixel_value}. Received {max_pixel_value}. Leave "
                "it out."
            )
        return method
    from care_tf.boxes.making.methods import get_method

    return get_method(name, model=model, **trained)


def _report(made: "MadeBoxes") -> None:
    counts = {status: len(made.rows(status)) for status in ("boxes", "no box", "failed")}
    resumed = f" ({made.num_resumed} of them from an earlier start)" if made.num_resumed else ""
    print(
        f"{len(made.details)} images{resumed}: {counts['boxes']} with boxes, {counts['no box']} without, "
        f"{counts['failed']} failed"
    )
    for status, title in (("boxes", "look at"), ("no box", "nothing found in"), ("failed", "failed")):
        results = [result for result in made.details if result.status == status]
        if status == "boxes":
            results = [result for result in results if result.message]
        for result in results[:MAX_LISTED]:
            reason = f": {result.message}" if result.message else ""
            print(f"warning: {title} {made.manifest.image_paths[result.row]}{reason}", file=sys.stderr)
        if len(results) > MAX_LISTED:
            print(f"warning: {title} {len(results) - MAX_LISTED} more: see the details", file=sys.stderr)
