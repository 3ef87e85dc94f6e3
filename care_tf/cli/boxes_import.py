"""`care boxes import`."""

from pathlib import Path
from typing import Any

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.errors import InputError


@click.command(
    "import", cls=Command, example="care boxes import manifest.csv annotations.xml --format cvat --output boxes.csv"
)
@options.manifest
@click.argument("annotations", type=options.PATH)
@options.output(help="The new manifest (CSV).")
@options.image_format(help="Format of the annotations. [default: detected, where the files fit only one]")
@click.option("--source", help="What box_source says. [default: imported:FORMAT]")
@options.labels
@click.option("--scale", type=float, default=1.0, help="Box side / drawn side; 0.7 to 1.1 in the paper.")
@click.option(
    "--existing",
    type=click.Choice(["refuse", "keep", "replace"]),
    default="refuse",
    help="Where an image has other boxes or a mask.",
)
@click.option(
    "--bad",
    type=click.Choice(["refuse", "drop"]),
    default="refuse",
    help="Entries that are not valid boxes: without area or position, NaN, of an unknown class or image.",
)
@click.option(
    "--outside",
    type=click.Choice(["refuse", "drop"]),
    default="refuse",
    help="Boxes wholly outside of their image; boxes that overlap it are clipped.",
)
@click.option(
    "--exif",
    type=click.Choice(["auto", "oriented", "stored"]),
    default="auto",
    help="Whether the tool showed images turned by EXIF (oriented) or not (stored); auto goes by the stated sizes.",
)
@click.option("--image-root", type=options.PATH, help="Folder that the annotations' names are relative to.")
@options.voc_pixel_origin
@click.option("--class-file", type=options.PATH, help="yolo: classes.txt or data.yaml; rsna: class info.")
@options.image_size(
    type=options.ImageSize("own"),
    help="csv, rsna, nih: size of the images that were annotated (rsna, nih: 1024 by default), or own: the manifest's.",
)
@options.overwrite
def import_(
    manifest: Path, annotations: Path, output: Path, format_name: str | None, overwrite: bool, **choices: Any
) -> None:
    """Take boxes from an annotation tool into a manifest.

    COCO, Pascal VOC, YOLO, labelme, CreateML, Label Studio, CVAT (tasks and projects), RSNA, NIH's BBox_List_2017.csv,
    ISIC's masks, tables of boxes; exports of Roboflow are matched to the images' own names. Tables may be separated by
    commas, semicolons or tabs. Prints what was matched, unmatched, dropped, clipped, scaled and turned.
    """
    options.refuse_existing(output, overwrite)
    if output.is_dir() or output.resolve() == annotations.resolve():
        raise InputError(
            f"--output must be a file of its own. Received {output}, which is a folder or the annotations. "
            "Choose another one."
        )
    from care_tf.boxes.exchange.importing import import_boxes
    from care_tf.boxes.formats import detect_format, read_annotations
    from care_tf.data.manifest import read_manifest, write_manifest

    given, name = options.format_options(choices), format_name or detect_format(annotations)
    rows = read_manifest(manifest)
    boxes = read_annotations(annotations, name, bad=choices.pop("bad"), **given)
    imported, summary = import_boxes(rows, boxes, **{**choices, "source": choices["source"] or f"imported:{name}"})
    write_manifest(imported, output)
    print(summary.text())
    print(imported.summary())
    print(f"read {annotations} as {name}; wrote {output}")
