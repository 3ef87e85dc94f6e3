"""`care prepare trap`."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from care_tf.cli import options
from care_tf.cli.commands import Command, command_line
from care_tf.cli.prepared_folder import MANIFEST
from care_tf.errors import InputError
from care_tf.files import atomic_path, write_text

if TYPE_CHECKING:
    from care_tf.data.manifest import Manifest

FRAME = "frame"
KINDS = (FRAME, "decoy", "sticker", "ruler", "ink", "hair", "letter")
SUMMARY = "trap.md"
SMALLEST_FRAME = 0.005  # of the image's pixels; what is smaller is neither a frame nor none


@click.command(
    "trap",
    cls=Command,
    example="care prepare trap frame ISIC2018 --positive MEL --negative NV --output data/trap\n"
    "care prepare trap sticker data/isic2018/manifest.csv --positive DF --share .9 --output data/stickers",
)
@click.argument("kind", type=click.Choice(KINDS), metavar="KIND")
@click.argument("source", type=options.MANIFEST, metavar="MANIFEST|ISIC2018")
@options.output(help="Folder to write; must not exist or be empty.")
@options.option(
    "--positive", type=options.Words(), joined_by=",", metavar="CLASS,...", help="With the cue. [default: the rarest]"
)
@options.option(
    "--negative", type=options.Words(), joined_by=",", metavar="CLASS,...", help="Without it. [default: all others]"
)
@options.option(
    "--join", "joined", type=options.Words(), joined_by=",", metavar="NAME,NAME", help="Make each side one class."
)
@click.option(
    "--share", type=click.FloatRange(0.5, 1), default=1.0, help="Of the training images, those whose cue agrees."
)
@click.option("--max-images", type=options.whole_number, metavar="N", help="Of each class in training. [default: all]")
@options.seed
@options.overwrite
@click.pass_context
def trap(context: click.Context, kind: str, source: Path, output: Path, overwrite: bool, **choices: Any) -> None:
    """Make a data set with a misleading cue.

    In training the cue goes with some classes, in the tests it does not: does a classifier look at it? KIND is frame,
    the dark frame of a dermatoscope, which some photographs have, and then no pixel changes; or one that is drawn
    beside the lesion's box: decoy (a square in a corner), sticker (a round patch), ruler, ink, hair, letter. The
    folder of an ISIC 2018 download gives every image its box. Writes manifest.csv with the splits train, val,
    test_balanced and test_reversed (and test_clean where the cue is drawn), trap.md, contact_sheet.png with images of
    training, and the images where they are new.
    """
    _check_output(output, overwrite)
    from care_tf.data.manifest import write_manifest
    from care_tf.datasets.contact_sheet import write_contact_sheet
    from care_tf.datasets.traps import drawn_trap, observed_trap, trap_summary

    manifest = _read(source, choices)
    choices["positive"] = choices["positive"] or [min(manifest.class_counts, key=manifest.class_counts.__getitem__)]
    with atomic_path(output) as folder:
        folder.mkdir()
        if kind == FRAME:
            named = None if choices["negative"] is None else {*choices["positive"], *choices["negative"]}
            made = observed_trap(manifest, frames_of(manifest, named), cue=kind, **choices)
        else:
            made = drawn_trap(manifest, kind, folder / "images", **choices)
        table = trap_summary(made)
        write_contact_sheet(made.select(split="train"), folder / "contact_sheet.png", seed=choices["seed"])
        write_text(folder / SUMMARY, f"# Trap: {kind}\n\n    {shlex.join(command_line(context))}\n\n{table}\n")
        write_manifest(made, folder / MANIFEST)
    print(f"{table}\n\nwrote {output / MANIFEST}, {SUMMARY} and contact_sheet.png")


def frames_of(manifest: "Manifest", class_names: set[str] | None) -> Sequence[bool | None]:
    """Whether each image has a dark frame; None where that is not clear, and for classes that do not count."""
    from care_tf.boxes import dark_frame
    from care_tf.file_work import for_each_file
    from care_tf.images.pixels import read_image

    def has_frame(row: int) -> bool | None:
        if class_names is not None and manifest.class_names[manifest.labels[row]] not in class_names:
            return None
        fraction = float(dark_frame(read_image(manifest.image_paths[row], manifest.max_pixel_value)).mean())
        return None if 0 < fraction < SMALLEST_FRAME else fraction > 0

    rows = range(len(manifest))
    return for_each_file(has_frame, rows, where=manifest.source, progress="looking for frames", unit="image")


def _read(source: Path, choices: dict[str, Any]) -> "Manifest":
    """A manifest, or every image of an ISIC 2018 download with its box, where its class counts."""
    if source.is_dir():
        from care_tf.datasets.isic2018 import CLASSES, read_isic2018

        named = [*(choices["positive"] or ()), *(choices["negative"] or ())]
        return read_isic2018(source, named if choices["positive"] and choices["negative"] else CLASSES)
    from care_tf.data.manifest import read_manifest

    return read_manifest(source)


def _check_output(output: Path, overwrite: bool) -> None:
    if os.path.lexists(output) and not output.is_dir():
        raise InputError(f"The output must be a folder. Received {output}, which is a file. Give another path.")
    if output.is_dir() and any(output.iterdir()):
        options.refuse_existing(output, overwrite)
        if not (output / SUMMARY).is_file():
            raise InputError(
                f"--overwrite replaces only a trap. Received {output} without {SUMMARY}. Give another path."
            )
