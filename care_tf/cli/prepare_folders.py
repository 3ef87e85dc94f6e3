"""`care prepare folders`."""

import dataclasses
from pathlib import Path

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.cli.prepared_folder import check_new, write_prepared


@click.command(
    "folders",
    cls=Command,
    example="care prepare folders --root images --boxes coco.json --output data/mine",
)
@click.option("--root", type=options.PATH, required=True, help="Folder of class folders, or of train, val, test.")
@options.output(help="Folder for manifest.csv and contact_sheet.png.")
@click.option(
    "--boxes", type=options.PATH, multiple=True, metavar="PATH", help="Annotations of any known format; repeatable."
)
@options.image_format(help="Format of the annotations. [default: detected, where the files fit only one]")
@options.labels
@click.option(
    "--group-pattern",
    metavar="REGEX",
    help=r"Finds the patient or lesion in an image's path, such as (patient\d+)_; its images share a fold.",
)
@options.num_folds
@options.seed
@options.overwrite
def folders(
    root: Path,
    output: Path,
    boxes: tuple[Path, ...],
    format_name: str | None,
    labels: list[str] | None,
    group_pattern: str | None,
    num_folds: int,
    seed: int,
    overwrite: bool,
) -> None:
    """Turn folders of classes into a manifest.

    ROOT/CLASS/**/IMAGE, or ROOT/SPLIT/CLASS/**/IMAGE with splits called train, val (valid, validation) and test;
    without splits, folds are dealt. Writes manifest.csv and contact_sheet.png, a picture of the boxes.
    """
    check_new(output, overwrite)
    from care_tf.boxes.exchange.folders import read_folders
    from care_tf.data.splits import stratified_group_folds

    manifest, summary = read_folders(root, boxes, format_name, labels, group_pattern)
    if not any(manifest.splits):
        names = [manifest.class_names[label] for label in manifest.labels]  # rather than numbers, for the messages
        folds = stratified_group_folds(names, manifest.groups, num_folds, seed)
        manifest = dataclasses.replace(manifest, folds=tuple(map(str, folds)))
    if summary is not None:
        print(summary.text())
    if group_pattern is None:
        print("every image is a patient or lesion of its own; where that is not so, give --group-pattern")
    write_prepared(manifest, output, seed)
