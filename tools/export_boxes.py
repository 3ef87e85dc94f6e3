"""The boxes of a manifest as files of an annotation tool: COCO, Pascal VOC, YOLO, labelme, Label Studio, CVAT, ..."""

import argparse
from pathlib import Path

from command_line import quiet_tensorflow, run_tool

_FORMATS = ("coco", "voc", "yolo", "labelme", "label-studio", "cvat", "rsna", "isic-masks", "csv")


def main(argv: list[str]) -> None:
    """Writes the file or folder and prints what is in it and what the format could not hold."""
    arguments = _parse(argv)
    quiet_tensorflow()
    from care_tf.boxes.exchange.exporting import export_boxes
    from care_tf.data.manifest import read_manifest

    summary = export_boxes(
        read_manifest(arguments.manifest),
        arguments.output,
        arguments.format,
        label=arguments.label,
        include_empty=arguments.include_empty,
        image_root=arguments.image_root,
        overwrite=arguments.overwrite,
        **_options(arguments),
    )
    print(summary.text())
    print(f"wrote {arguments.output} as {arguments.format}")


def _options(arguments: argparse.Namespace) -> dict:
    """The format's own options, as far as they were given; one of another format is refused when it writes."""
    options = {
        "pixel_origin": arguments.voc_pixel_origin,
        "class_file": arguments.class_file,
        "url_prefix": arguments.url_prefix,
    }
    options = {name: value for name, value in options.items() if value is not None}
    if arguments.own_pixels:
        options["image_size"] = None
    return options


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="export_boxes.py", description=__doc__)
    parser.add_argument("manifest", type=Path, help="manifest CSV with boxes")
    parser.add_argument("--format", choices=_FORMATS, required=True)
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="PATH",
        help="a folder for voc, yolo, labelme, isic-masks; else a file",
    )
    parser.add_argument("--label", help="label of all boxes (default: the image's class)")
    parser.add_argument(
        "--include-empty",
        action="store_true",
        help="list images without a box too; tools take them as looked at and empty",
    )
    parser.add_argument(
        "--image-root",
        type=Path,
        metavar="FOLDER",
        help="folder the names are relative to (default: the one of all images)",
    )
    parser.add_argument(
        "--voc-pixel-origin", type=int, choices=(0, 1), help="voc: 1 as the VOC kit (default), 0 for labelImg and CVAT"
    )
    parser.add_argument("--class-file", type=Path, metavar="CSV", help="rsna: also write the class of every image here")
    parser.add_argument(
        "--own-pixels", action="store_true", help="rsna: the images' own pixels instead of 1024 x 1024 px"
    )
    parser.add_argument("--url-prefix", help="label-studio: goes before names (default /data/local-files/?d=)")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_tool(main)
