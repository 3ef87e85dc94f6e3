"""`care segment train`."""

from pathlib import Path
from typing import Any

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.tensorflow_start import quiet_tensorflow


@click.command("train", cls=Command, example="care segment train data/masks/manifest.csv --output segmentation")
@options.manifest
@options.output(help="Folder for the networks, their histories and segmentation.json, what each saw.")
@click.option("--num-folds", type=int, default=2, help="Networks, each without one fold; 1: one on everything.")
@click.option(
    "--architecture",
    default="deeplab_v3_plus",
    metavar="NAME|keras_hub/PRESET",
    help="deeplab_v3, the paper's; deeplab_v3_plus, with a decoder: finer and several times slower; or a DeepLab of "
    "KerasHub, by name or folder.",
)
@click.option("--backbone", help="squeezenet1_1, resnet18 or resnet50. [default: squeezenet1_1]")
@options.option(
    "--encoder-weights",
    formerly="--weights",
    metavar="FILE|imagenet",
    help="Of the backbone: a local file, or imagenet to download them for a ResNet. [default: random]",
)
@options.image_size(help="Size the networks work at.", default="192x256")
@click.option("--max-images-per-class", type=int, help="Draw at most so many images of each class.")
@click.option("--batch-size", type=int, default=16)
@click.option("--max-epochs", type=int, default=60, help="Of each network.")
@click.option("--patience-epochs", type=int, default=6, help="Stop after so many epochs without improvement.")
@options.max_pixel_value
@options.seed
def train(
    manifest: Path, output: Path, image_size: tuple[int, int], max_pixel_value: int | None, **settings: Any
) -> None:
    """Train DeepLabV3 or DeepLabV3+ on lesion masks.

    By default two networks, each without one half of the patients or lesions: every image then has a network that never
    saw its mask.
    """
    quiet_tensorflow()
    from care_tf.boxes.segmentation.segmentation_training import SegmentationSettings, train_segmentation
    from care_tf.data.manifest import read_manifest

    chosen = SegmentationSettings(image_size_px=image_size, **settings)
    models = train_segmentation(read_manifest(manifest, max_pixel_value=max_pixel_value), output, chosen)
    print(f"wrote {len(models)} networks and segmentation.json to {output}")
