"""`care boxes export`."""

from pathlib import Path
from typing import Any

import click

from care_tf.cli import options
from care_tf.cli.commands import Command


@click.command("export", cls=Command, example="care boxes export boxes.csv --format coco --output annotations.json")
@options.manifest
@options.image_format(required=True, help="Format to write.")
@options.output(help="A folder for voc, yolo, labelme, isic-masks; else a file.")
@click.option("--label", help="Label of all boxes. [default: the image's class]")
@click.option(
    "--include-empty", is_flag=True, help="List images without a box too; tools take them as looked at and empty."
)
@click.option(
    "--image-root", type=options.PATH, help="Folder the names are relative to. [default: the one of all images]"
)
@options.voc_pixel_origin
@click.option("--class-file", type=options.PATH, help="rsna: also write the class of every image to this CSV.")
@options.image_size(
    type=options.ImageSize("own"),
    help="rsna, nih: frame of the boxes (1024 by default), or own: each image's own pixels.",
)
@click.option("--url-prefix", help="label-studio: goes before names. [default: /data/local-files/?d=]")
@options.overwrite
def export(manifest: Path, output: Path, format_name: str, **choices: Any) -> None:
    """Write the boxes of a manifest for an annotation tool.

    Prints what is in the file or folder and what the format could not hold.
    """
    from care_tf.boxes.exchange.exporting import export_boxes
    from care_tf.data.manifest import read_manifest

    given = options.format_options(choices)
    summary = export_boxes(read_manifest(manifest), output, format_name, **choices, **given)
    print(summary.text())
    print(f"wrote {output} as {format_name}")
