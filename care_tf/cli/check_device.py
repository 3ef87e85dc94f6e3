"""`care check-device`."""

import sys
import tempfile
from pathlib import Path

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.errors import InputError
from care_tf.tensorflow_start import quiet_tensorflow

# Drawn images of each class, where no configuration is named.
_DRAWN = (160, 80, 60, 20)


@click.command(
    "check-device", cls=Command, example="care check-device isic2018/care\ncare check-device model.backbone=resnet50"
)
@options.configs("[CONFIG] [key=value ...]")
@options.image_size(help="Size of the images, as data.image_size_px=. [default: the configuration's]")
@options.option("--batch-size", type=options.whole_number, help="Images a step, as training.batch_size=.")
@options.option("--steps", type=options.whole_number, help="Steps a round. [default: as many as take two seconds]")
def check_device(
    words: tuple[str, ...], image_size: tuple[int, int] | None, batch_size: int | None, steps: int | None
) -> None:
    """Measure a short training here, and say what to change.

    Steps of CARE and of plain Keras, other precisions, XLA, the input and the memory, with the data and the network of
    CONFIG. Without CONFIG the images are drawn and the network is the demo's small one. Nothing is written.
    """
    names, changes = options.split_words(words)
    if len(names) > 1:
        raise InputError(f"Name one configuration, or none. Received {', '.join(names)}. See care configs.")
    if image_size is not None:
        changes.append(f"data.image_size_px={list(image_size)}")
    if batch_size is not None:
        changes.append(f"training.batch_size={batch_size}")
    from care_tf.runs.named_configs import find_config

    if names:
        find_config(names[0])  # a misspelled name should not wait for TensorFlow
    quiet_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        if not names:
            names, changes = _demo(Path(folder), changes)
        print(_report(names[0], changes, steps))


def _demo(folder: Path, changes: list[str]) -> tuple[list[str], list[str]]:
    """The demo's configuration on a few images drawn into a folder."""
    from care_tf.datasets import SyntheticLesions
    from care_tf.runs.named_configs import packaged_folder

    few = (1, 1, 1, 1)
    lesions = SyntheticLesions(seed=0, train_counts=_DRAWN, validation_counts=few, test_counts=few)
    return [str(packaged_folder() / "demo.yaml")], [f"data.manifest={lesions.write(folder / 'data')}", *changes]


def _report(name: str, changes: list[str], steps: int | None) -> str:
    from care_tf.runs.config import load_config
    from care_tf.runs.device_check import check_device
    from care_tf.runs.device_report import device_report

    def tell(what: str) -> None:
        print(f"{what} ...", file=sys.stderr, flush=True)

    return device_report(check_device(load_config(name, changes), steps, tell))
