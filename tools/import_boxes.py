"""Boxes drawn in an annotation tool into a manifest: COCO, Pascal VOC, YOLO, labelme, Label Studio, CVAT, ..."""

import argparse
import os
from pathlib import Path

from command_line import quiet_tensorflow, run_tool

_FORMATS = ("coco", "voc", "yolo", "labelme", "label-studio", "cvat", "rsna", "isic-masks", "csv")


def main(argv: list[str]) -> None:
    """Writes the new manifest and prints what was matched, unmatched, clipped, scaled and turned."""
    arguments = _parse(argv)
    quiet_tensorflow()
    from care_tf.boxes.exchange.importing import import_boxes
    from care_tf.boxes.formats import detect_format, read_annotations
    from care_tf.data.manifest import read_manifest, write_manifest
    from care_tf.errors import InputError

    output = arguments.output
    if os.path.lexists(output):
        if not arguments.overwrite:
            raise InputError(f"{output} exists already; choose another output, or give --overwrite")
        if output.is_dir() or output.resolve() == arguments.annotations.resolve():
            raise InputError(f"{output} is a folder or the annotations themselves; choose another output")
    if not arguments.annotations.exists():
        raise InputError(f"there is no file or folder {arguments.annotations}")
    name = arguments.format or detect_format(arguments.annotations)
    manifest = read_manifest(arguments.manifest)
    annotations = read_annotations(arguments.annotations, name, **_options(arguments))
    imported, summary = import_boxes(
        manifest,
        annotations,
        source=arguments.source or f"imported:{name}",
        existing=arguments.existing,
        labels=arguments.labels,
        scale=arguments.scale,
        exif=arguments.exif,
        outside=arguments.outside,
        image_root=arguments.image_root,
    )
    write_manifest(imported, output)
    print(summary.text())
    print(imported.summary())
    print(f"read {arguments.annotations} as {name}; wrote {output}")


def _options(arguments: argparse.Namespace) -> dict:
    """The format's own options, as far as they were given; one of another format is refused when it reads."""
    options = {"pixel_origin": arguments.voc_pixel_origin, "class_file": arguments.class_file}
    options = {name: value for name, value in options.items() if value is not None}
    if arguments.image_size is not None:
        options["image_size"] = None if arguments.image_size == "own" else arguments.image_size
    return options


def _size(text: str) -> tuple[int, int] | str:
    if text == "own":
        return text
    width, separator, height = text.lower().partition("x")
    if not (separator and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT in px, such as 1024x1024, or own")
    return int(width), int(height)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="import_boxes.py", description=__doc__)
    parser.add_argument("manifest", type=Path, help="manifest CSV with the images")
    parser.add_argument("annotations", type=Path, help="file or folder that the annotation tool wrote")
    parser.add_argument("--output", type=Path, required=True, metavar="CSV", help="the new manifest")
    parser.add_argument("--format", choices=_FORMATS, help="by default told from the files, if they fit one only")
    parser.add_argument("--source", help="what box_source says (default imported:FORMAT)")
    parser.add_argument("--labels", nargs="+", metavar="LABEL", help="take boxes of these labels only (default all)")
    parser.add_argument("--scale", type=float, default=1.0, help="box side / drawn side; 0.7 to 1.1 in the paper")
    parser.add_argument(
        "--existing",
        choices=("refuse", "keep", "replace"),
        default="refuse",
        help="where an image has other boxes or a mask (default refuse)",
    )
    parser.add_argument(
        "--outside",
        choices=("refuse", "drop"),
        default="refuse",
        help="boxes wholly outside of their image (default refuse); boxes that overlap it are clipped",
    )
    parser.add_argument(
        "--exif",
        choices=("auto", "oriented", "stored"),
        default="auto",
        help="whether the tool showed images turned by EXIF (oriented) or not (stored); auto goes by the stated sizes",
    )
    parser.add_argument(
        "--image-root", type=Path, metavar="FOLDER", help="folder the annotations' names are relative to"
    )
    parser.add_argument(
        "--voc-pixel-origin",
        type=int,
        choices=(0, 1),
        help="voc: 1 as the VOC kit counts pixels (default), 0 as labelImg, CVAT and Label Studio write edges",
    )
    parser.add_argument(
        "--class-file", type=Path, metavar="FILE", help="yolo: classes.txt or data.yaml; rsna: class info"
    )
    parser.add_argument(
        "--image-size",
        type=_size,
        metavar="WxH",
        help="csv, rsna: size of the images that were annotated (rsna: default 1024x1024), or own: the manifest's",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_tool(main)
