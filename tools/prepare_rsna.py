"""From the RSNA Pneumonia Detection Challenge download to PNGs, a manifest with boxes, and a picture of the boxes."""

import argparse
from pathlib import Path

from command_line import quiet_tensorflow, run_tool


def main(argv: list[str]) -> None:
    """Writes OUTPUT/images/*.png, contact_sheet.png and, last, manifest.csv, and prints what is in them."""
    arguments = _parse(argv)
    quiet_tensorflow()
    from care_tf.data.manifest import write_manifest
    from care_tf.datasets.contact_sheet import write_contact_sheet
    from care_tf.datasets.dicom_to_png import convert_dicoms
    from care_tf.datasets.rsna import PAPER_IMAGES_PER_CLASS, read_rsna, rsna_manifest

    images = read_rsna(
        arguments.root,
        max_images_per_class=None if arguments.all else PAPER_IMAGES_PER_CLASS,
        mapping_file=arguments.mapping,
        seed=arguments.seed,
    )
    png_paths = [arguments.output / "images" / f"{image.name}.png" for image in images]
    conversions = convert_dicoms(
        [image.dicom_path for image in images],
        png_paths,
        max_side_px=arguments.image_size,
        num_threads=arguments.threads,
    )
    sheet, table = arguments.output / "contact_sheet.png", arguments.output / "manifest.csv"
    manifest = rsna_manifest(
        images,
        png_paths,
        conversions,
        folds_file=arguments.folds,
        num_folds=arguments.num_folds,
        seed=arguments.seed,
        skip_failed=arguments.skip_failed,
        source=str(table.absolute()),
    )
    write_contact_sheet(manifest, sheet, seed=arguments.seed)
    write_manifest(manifest, table)
    print(manifest.summary())
    print(f"wrote {table} and {sheet}")


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="prepare_rsna.py",
        description=__doc__,
        epilog="Started again, it goes on where it stopped. Nothing of the DICOM files but their pixels is written.",
    )
    parser.add_argument("--root", type=Path, required=True, help="folder of stage_2_train_images/ and both tables")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for images/, manifest.csv, contact_sheet.png"
    )
    parser.add_argument("--all", action="store_true", help="take all images; default: as many per class as the paper")
    parser.add_argument(
        "--image-size", type=int, metavar="PX", help="shrink the longer side to it, with the boxes (default: keep)"
    )
    parser.add_argument(
        "--mapping", type=Path, metavar="FILE", help="RSNA's mapping to NIH images (JSON), to group them by patient"
    )
    parser.add_argument("--folds", type=Path, metavar="FILE", help="CSV with patientId,fold; otherwise folds are dealt")
    parser.add_argument("--num-folds", type=int, default=5, help="how many folds to deal (default 5)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the images drawn, the folds and the picture")
    parser.add_argument("--threads", type=int, metavar="N", help="how many images at a time (default: one per core)")
    parser.add_argument("--skip-failed", action="store_true", help="leave out images that cannot be converted")
    arguments = parser.parse_args(argv)
    for name in ("image_size", "threads"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1; received {value}")
    if arguments.num_folds < 2:
        parser.error(f"--num-folds must be at least 2; received {arguments.num_folds}")
    return arguments


if __name__ == "__main__":
    run_tool(main)
