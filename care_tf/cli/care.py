"""The command `care` itself: the list of commands."""

import click

from care_tf.cli.commands import Group
from care_tf.version import __version__

_COMMANDS = {
    "train": "train:train",
    "calibrate": "calibrate:calibrate",
    "evaluate": "evaluate:evaluate",
    "predict": "predict:predict",
    "serve": "serve:serve",
    "compare": "compare:compare",
    "check": "check:check",
    "maps": "maps:maps",
    "reproduce": "reproduce:reproduce",
    "export": "export:export",
    "demo": "demo:demo",
    "configs": "configs:configs",
    "check-device": "check_device:check_device",
    "prepare": "care:prepare",
    "boxes": "care:boxes",
    "segment": "care:segment",
    "completion": "completion:completion",
}
_PREPARE = {
    "isic2018": "prepare_isic2018:isic2018",
    "rsna": "prepare_rsna:rsna",
    "folders": "prepare_folders:folders",
    "synthetic": "prepare_synthetic:synthetic",
    "trap": "prepare_trap:trap",
    "shards": "prepare_shards:shards",
    "weights": "prepare_weights:weights",
}
_BOXES = {
    "make": "boxes_make:make",
    "import": "boxes_import:import_",
    "export": "boxes_export:export",
    "judge": "boxes_judge:judge",
    "review": "boxes_review:review",
}


@click.group("care", cls=Group, lazy=_COMMANDS, example="care demo\ncare train isic2018/care_csl --output runs/mine")
@click.version_option(__version__, prog_name="care")
def care() -> None:
    """Train image classifiers that look where the rare class's lesions are (CARE).

    A command's own page: care COMMAND --help.
    """


@click.group("prepare", cls=Group, lazy=_PREPARE, example="care prepare synthetic --output lesions")
def prepare() -> None:
    """Make a manifest, a trap, shards, or a file of initial weights."""


@click.group(
    "boxes", cls=Group, lazy=_BOXES, example="care boxes make manifest.csv --method bms --classes DF --output boxes.csv"
)
def boxes() -> None:
    """Make, convert, judge and review boxes around lesions."""


@click.group(
    "segment",
    cls=Group,
    lazy={"train": "segment_train:train"},
    example="care segment train data/masks/manifest.csv --output segmentation",
)
def segment() -> None:
    """Train networks that draw the boxes of care boxes make."""


def main(program: str = "care") -> None:
    """Runs the command line and exits; `program` is how help calls it."""
    care(prog_name=program, complete_var="_CARE_COMPLETE")
