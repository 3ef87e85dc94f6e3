"""`care prepare isic2018`."""

from pathlib import Path
from typing import Any

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.cli.prepared_folder import check_new, write_prepared
from care_tf.errors import InputError


@click.command(
    "isic2018",
    cls=Command,
    example="care prepare isic2018 --root ISIC2018 --output data/isic2018 --box-classes DF,VASC,AKIEC",
)
@click.option("--task", type=click.Choice(["1", "3"]), default="3", help="3: classes; 1: lesion masks without classes.")
@click.option("--root", type=options.PATH, required=True, help="Folder of the unpacked archives.")
@options.output(help="Folder for manifest.csv and contact_sheet.png.")
@options.option(
    "--box-classes",
    type=options.Words(may_be_empty=True),
    joined_by=",",
    metavar="CLASS,...",
    help="Classes whose images get a box. [default: DF]",
)
@click.option("--lesion-masks", is_flag=True, help="Every image gets its lesion mask, none a box: for segmentation.")
@click.option("--box-scale", type=float, help="Side of the box / tight side. [default: 1]")
@options.folds_file
@options.num_folds
@options.split
@options.seed
@options.overwrite
def isic2018(root: Path, output: Path, task: str, overwrite: bool, **choices: Any) -> None:
    """Turn the ISIC 2018 download into a manifest.

    Task 3 gives classes and boxes, task 1 masks without classes. HAM10000, as Dataverse and Kaggle call the images of
    task 3, is read in its own layout too. Writes manifest.csv and contact_sheet.png, a picture of the boxes.
    """
    check_new(output, overwrite)
    _check_fit(task, choices)
    from care_tf.datasets.isic2018 import read_isic2018
    from care_tf.datasets.isic_segmentation import read_isic_segmentation

    seed, classes, scale = choices["seed"], choices.pop("box_classes"), choices.pop("box_scale")
    if task == "1":
        manifest = read_isic_segmentation(root)
    else:
        classes = classes if classes is not None else [] if choices["lesion_masks"] else ["DF"]
        manifest = read_isic2018(root, classes, box_scale=1.0 if scale is None else scale, **choices)
    write_prepared(manifest, output, seed)


def _check_fit(task: str, choices: dict[str, Any]) -> None:
    """Nothing that was asked for is left out silently."""
    without = ["box_classes", "box_scale"] if task == "1" or choices["lesion_masks"] else []
    without += ["lesion_masks", "folds_file", "split"] if task == "1" else []
    given = [f"--{name.replace('_', '-')}" for name in without if choices[name] not in (None, False, "group")]
    if given:
        chosen = "--task 1" if task == "1" else "--lesion-masks"
        raise InputError(f"{chosen} gives masks and takes no {', '.join(given)}. Leave one out.")
