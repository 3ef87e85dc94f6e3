"""`care prepare rsna`."""

import sys
from pathlib import Path
from typing import Any

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.cli.prepared_folder import MANIFEST, check_new, write_prepared


@click.command(
    "rsna",
    cls=Command,
    example="care prepare rsna --root RSNA --output data/rsna --image-size 512",
)
@click.option("--root", type=options.PATH, required=True, help="Folder of stage_2_train_images/ and both tables.")
@options.output(help="Folder for images/, manifest.csv and contact_sheet.png.")
@click.option("--all", "every_image", is_flag=True, help="Take all images; otherwise as many per class as the paper.")
@click.option("--at-most", is_flag=True, help="Take fewer than the paper where a class has no more.")
@options.image_size(help="Shrink the longer side to it, with the boxes. [default: keep]")
@click.option("--mapping", type=options.PATH, help="RSNA's mapping to NIH images (JSON), to group them by patient.")
@options.folds_file
@options.num_folds
@options.split
@options.seed
@options.overwrite
@options.workers(formerly="--threads")
@click.option("--skip-failed", is_flag=True, help="Leave out images that cannot be converted.")
def rsna(
    root: Path, output: Path, every_image: bool, image_size: tuple[int, int] | None, overwrite: bool, **choices: Any
) -> None:
    """Turn the RSNA pneumonia download into PNGs and a manifest.

    Writes images/*.png, contact_sheet.png, a picture of the boxes, and last manifest.csv. Stopped before that
    and started again, it continues. Of the DICOM files only the pixels are written.
    """
    check_new(output, overwrite)
    side = None if image_size is None else options.one_side(image_size, "it is the longer side")
    from care_tf.datasets.dicom_to_png import convert_dicoms
    from care_tf.datasets.rsna import PAPER_IMAGES_PER_CLASS, read_rsna, rsna_manifest

    counts, mapping = None if every_image else PAPER_IMAGES_PER_CLASS, choices.pop("mapping")
    at_most = choices.pop("at_most") or every_image
    images = read_rsna(root, max_images_per_class=counts, mapping_file=mapping, seed=choices["seed"], at_most=at_most)
    _print_numbers([image.label for image in images], counts)
    png_paths = [output / "images" / f"{image.name}.png" for image in images]
    dicom_paths = [image.dicom_path for image in images]
    conversions = convert_dicoms(dicom_paths, png_paths, max_side_px=side, num_threads=choices.pop("workers"))
    source = str((output / MANIFEST).absolute())
    manifest = rsna_manifest(images, png_paths, conversions, source=source, **choices)
    if mapping is None and len(set(manifest.groups)) == len(manifest):
        print(
            "warning: every image is a group of its own, because neither a mapping nor the DICOM headers say which "
            "images show one patient, so folds may have a patient on both sides. Give --mapping.",
            file=sys.stderr,
        )
    write_prepared(manifest, output, choices["seed"])


def _print_numbers(labels: list[str], asked: dict[str, int] | None) -> None:
    for name in dict.fromkeys(labels):
        number = "all" if asked is None or name not in asked else f"{asked[name]:,}"
        print(f"{name}: {number} asked for, {labels.count(name):,} taken")
