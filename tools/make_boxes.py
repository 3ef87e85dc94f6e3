"""Boxes without annotators: a saliency method or a segmentation network draws them for some classes of a manifest.

Started again after a kill, the same command goes on where it stopped. Beside the output, NAME.details.csv says what
became of every image.

Example: python tools/make_boxes.py manifest.csv --method dsr --classes DF VASC --output boxes/manifest.csv
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from command_line import quiet_tensorflow, run_tool

if TYPE_CHECKING:
    from care_tf.boxes.making.manifest_boxes import MadeBoxes

_MAX_LISTED = 20


def main(argv: list[str]) -> None:
    """Parses the arguments, makes the boxes, says what came of it."""
    arguments = _parse(argv)
    # One image per core: read when TensorFlow starts, here and in the workers that this process starts.
    for name, value in {
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }.items():
        os.environ.setdefault(name, value)
    quiet_tensorflow()
    from care_tf.boxes.box_details import details_path
    from care_tf.boxes.making.manifest_boxes import make_boxes
    from care_tf.boxes.making.methods import box_settings_of, get_method
    from care_tf.boxes.making.one_image import BoxSettings
    from care_tf.boxes.making.workers import Workers
    from care_tf.data.manifest import read_manifest
    from care_tf.errors import InputError

    if arguments.output.exists() and not arguments.force:
        raise InputError(f"{arguments.output} is there already; choose another --output, or replace it with --force")
    # A corrupt image is one failed image, not the end of the run: headers are not checked here.
    manifest = read_manifest(arguments.manifest, check_images=False)
    method = get_method(
        arguments.method,
        model=arguments.model,
        training_manifest=arguments.training_manifest,
        trained_elsewhere=arguments.trained_elsewhere,
    )
    try:
        made = make_boxes(
            manifest,
            method,
            BoxSettings(**box_settings_of(arguments.method) | _given_settings(arguments)),
            classes=arguments.classes,
            split=arguments.split,
            folds=_separate(arguments.folds),
            existing=arguments.existing,
            workers=Workers(arguments.backend, arguments.workers, arguments.scheduler),
            maps_folder=arguments.keep_maps,
            output=arguments.output,
        )
    except KeyboardInterrupt:
        print("stopped; what is finished is kept: the same command goes on from there", file=sys.stderr)
        raise
    _report(made)
    print(f"wrote {arguments.output} and {details_path(arguments.output)}")
    if arguments.strict and made.rows("failed"):
        raise InputError(
            f"--strict: {len(made.rows('failed'))} images failed; {arguments.output} was written all the same"
        )


def _report(made: "MadeBoxes") -> None:
    counts = {status: len(made.rows(status)) for status in ("boxes", "no box", "failed")}
    resumed = f" ({made.num_resumed} of them from an earlier start)" if made.num_resumed else ""
    print(
        f"{len(made.details)} images{resumed}: {counts['boxes']} with boxes, {counts['no box']} without, "
        f"{counts['failed']} failed"
    )
    for status, title in (("no box", "nothing found in"), ("failed", "failed")):
        results = [result for result in made.details if result.status == status]
        for result in results[:_MAX_LISTED]:
            reason = f": {result.message}" if result.message else ""
            print(f"warning: {title} {made.manifest.image_paths[result.row]}{reason}", file=sys.stderr)
        if len(results) > _MAX_LISTED:
            print(f"warning: {title} {len(results) - _MAX_LISTED} more: see the details", file=sys.stderr)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make_boxes.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path, help="CSV; it is not changed")
    parser.add_argument("--method", required=True, help="dsr, bms, segmentation, or module:function of your own")
    parser.add_argument("--classes", nargs="+", required=True, metavar="CLASS", help="classes whose images get boxes")
    parser.add_argument("--output", type=Path, required=True, metavar="CSV", help="the new manifest, with all rows")
    parser.add_argument("--force", action="store_true", help="replace an output that is there already")
    rows = parser.add_argument_group("which images of these classes")
    rows.add_argument("--split", help="only this split's (default: all)")
    rows.add_argument("--folds", nargs="+", metavar="FOLD", help="only these folds', such as 1 2 or 1,2 (default: all)")
    rows.add_argument(
        "--existing",
        choices=("replace", "keep"),
        default="replace",
        help="an image that has boxes or a mask: replace them, or keep them and leave it out (default: replace)",
    )
    boxes = parser.add_argument_group("from the map to boxes")
    boxes.add_argument(
        "--threshold", help="a number in (0, 1), otsu or adaptive (default: 0.15 for dsr, 0.2 for bms, otherwise 0.5)"
    )
    boxes.add_argument(
        "--min-area-fraction",
        type=float,
        help="drop regions below this share of the image (default: 0.01)",
    )
    boxes.add_argument(
        "--boxes",
        choices=("one", "largest", "each"),
        help="one box around all regions, the largest region's, or one for each (default: largest; one for a function "
        "of your own)",
    )
    boxes.add_argument("--max-boxes", type=int, help="with --boxes each: the largest so many regions (default: all)")
    boxes.add_argument("--scale", type=float, help="box side / tight side, 0.7 to 1.1 (default: 1)")
    boxes.add_argument("--keep-maps", type=Path, metavar="FOLDER", help="save the maps as 8-bit PNG to look at")
    segmentation = parser.add_argument_group("--method segmentation")
    segmentation.add_argument(
        "--model", type=Path, help="folder of tools/train_segmentation.py, Keras model file or SavedModel"
    )
    segmentation.add_argument("--training-manifest", type=Path, help="for one model: what it was trained on")
    segmentation.add_argument(
        "--trained-elsewhere", action="store_true", help="for one model: you vouch that it saw none of the images"
    )
    workers = parser.add_argument_group("who does the work")
    workers.add_argument("--workers", type=int, help="images at a time (default: one per core)")
    workers.add_argument("--backend", choices=("local", "dask", "ray"), default="local", help="(default: local)")
    workers.add_argument("--scheduler", metavar="ADDRESS", help="a running cluster; default: one on this machine")
    parser.add_argument("--strict", action="store_true", help="exit code 2 if any image failed")
    return parser.parse_args(argv)


def _separate(folds: list[str] | None) -> list[str] | None:
    return None if folds is None else [fold for text in folds for fold in text.split(",") if fold]


def _given_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the command line says of how maps become boxes."""
    names = ("threshold", "min_area_fraction", "boxes", "max_boxes", "scale")
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    return {**given, "threshold": _threshold(given["threshold"])} if "threshold" in given else given


def _threshold(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


if __name__ == "__main__":
    run_tool(main)
