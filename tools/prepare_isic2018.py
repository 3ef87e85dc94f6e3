"""From the ISIC 2018 download of task 3 (or 1) to a manifest with boxes (or masks), and a picture of the boxes."""

import argparse
from pathlib import Path

from command_line import quiet_tensorflow, run_tool


def main(argv: list[str]) -> None:
    """Writes OUTPUT/manifest.csv and OUTPUT/contact_sheet.png, and prints what is in them."""
    arguments = _parse(argv)
    quiet_tensorflow()
    from care_tf.data.manifest import write_manifest
    from care_tf.datasets.contact_sheet import write_contact_sheet
    from care_tf.datasets.isic2018 import read_isic2018
    from care_tf.datasets.isic_segmentation import read_isic_segmentation

    if arguments.task == 1:
        manifest = read_isic_segmentation(arguments.root)
    else:
        manifest = read_isic2018(
            arguments.root,
            arguments.box_classes if arguments.box_classes is not None else [] if arguments.lesion_masks else ["DF"],
            box_scale=1.0 if arguments.box_scale is None else arguments.box_scale,
            lesion_masks=arguments.lesion_masks,
            folds_file=arguments.folds,
            num_folds=arguments.num_folds,
            seed=arguments.seed,
        )
    sheet, table = arguments.output / "contact_sheet.png", arguments.output / "manifest.csv"
    write_contact_sheet(manifest, sheet, seed=arguments.seed)
    write_manifest(manifest, table)
    print(manifest.summary())
    print(f"wrote {table} and {sheet}")


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="prepare_isic2018.py", description=__doc__)
    parser.add_argument(
        "--task", type=int, choices=(1, 3), default=3, help="3: classes (default); 1: lesion masks without classes"
    )
    parser.add_argument("--root", type=Path, required=True, help="folder of the unpacked archives")
    parser.add_argument("--output", type=Path, required=True, help="folder for manifest.csv and contact_sheet.png")
    parser.add_argument("--box-classes", nargs="*", metavar="CLASS", help="classes whose images get a box (default DF)")
    parser.add_argument(
        "--lesion-masks", action="store_true", help="every image gets its lesion mask, none a box: for segmentation"
    )
    parser.add_argument("--box-scale", type=float, help="side of the box / tight side (default 1)")
    parser.add_argument("--folds", type=Path, metavar="FILE", help="CSV with image,fold; otherwise folds are dealt")
    parser.add_argument("--num-folds", type=int, default=5, help="how many folds to deal (default 5)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the folds and of the picture's choice (default 0)")
    arguments = parser.parse_args(argv)
    _check_fit(parser, arguments)
    return arguments


def _check_fit(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Nothing that was asked for is left out silently."""
    if arguments.task == 1 or arguments.lesion_masks:
        chosen = "--task 1" if arguments.task == 1 else "--lesion-masks"
        without = {"--box-classes": arguments.box_classes, "--box-scale": arguments.box_scale}
        if arguments.task == 1:
            without |= {"--lesion-masks": arguments.lesion_masks or None, "--folds": arguments.folds}
        given = [name for name, value in without.items() if value is not None]
        if given:
            parser.error(f"{chosen} gives masks and takes no {', '.join(given)}")
    if not 0 <= arguments.seed < 2**32:
        parser.error(f"--seed must lie in [0, 2^32); received {arguments.seed}")


if __name__ == "__main__":
    run_tool(main)
