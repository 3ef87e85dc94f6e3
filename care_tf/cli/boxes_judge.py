"""`care boxes judge`."""

from pathlib import Path
from typing import Any

import click

from care_tf.cli import options
from care_tf.cli.commands import Command


@click.command(
    "judge", cls=Command, example="care boxes judge truth.csv boxes_dsr.csv boxes_bms.csv --output quality --classes DF"
)
@click.argument("truth", type=options.PATH)
@click.argument("boxes", type=options.PATH, nargs=-1, required=True)
@options.output(help="Folder for box_quality.csv, .json and .html.")
@options.classes(help="Only these true classes. [default: all with truth]")
@options.folds(help="Only these folds of TRUTH. [default: all]")
@click.option("--only-shared", is_flag=True, help="Leave out images that a BOXES lacks; otherwise they are an error.")
@options.max_pixel_value
@options.resamples
@options.seed
def judge(truth: Path, boxes: tuple[Path, ...], output: Path, **choices: Any) -> None:
    """Compare made boxes with true ones.

    TRUTH and BOXES are manifests; TRUTH has the true boxes or masks. Writes a table and a page, and prints the mean IoU
    of every class and method.
    """
    from care_tf.boxes.judging.quality import judge_boxes
    from care_tf.boxes.judging.quality_report import write_box_quality
    from care_tf.data.manifest import read_manifest

    true = read_manifest(truth, max_pixel_value=choices.pop("max_pixel_value"))
    quality = judge_boxes(true, [read_manifest(path) for path in boxes], **choices)
    written = write_box_quality(quality, output)
    for line in quality.not_judged:
        print(f"not judged: {line}")
    print(quality.summary())
    print(f"wrote {', '.join(map(str, written))}")
