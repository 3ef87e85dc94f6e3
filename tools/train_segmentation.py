"""Trains DeepLabV3+ on the images of a manifest that have lesion masks, so that make_boxes.py can use it.

By default two networks, each trained without one half of the groups: every image then has a network that never saw
its mask.
"""

import argparse
from pathlib import Path

from command_line import quiet_tensorflow, run_tool


def main(argv: list[str]) -> None:
    """Writes OUTPUT/model_1.keras ..., a history of each, and segmentation.json, what each saw."""
    arguments = _parse(argv)
    quiet_tensorflow()
    from care_tf.boxes.segmentation.segmentation_training import SegmentationSettings, train_segmentation
    from care_tf.data.manifest import read_manifest

    settings = SegmentationSettings(
        image_size_px=tuple(arguments.image_size),
        backbone=arguments.backbone,
        weights=arguments.weights,
        num_folds=arguments.num_folds,
        max_images_per_class=arguments.max_images_per_class,
        batch_size=arguments.batch_size,
        max_epochs=arguments.max_epochs,
        patience_epochs=arguments.patience_epochs,
        seed=arguments.seed,
    )
    models = train_segmentation(read_manifest(arguments.manifest), arguments.output, settings)
    print(f"wrote {len(models)} networks and segmentation.json to {arguments.output}")


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="train_segmentation.py", description=__doc__)
    parser.add_argument("manifest", type=Path, help="CSV with image, label and mask (and group: patient or lesion)")
    parser.add_argument("--output", type=Path, required=True, help="folder for the networks")
    parser.add_argument(
        "--num-folds", type=int, default=2, help="networks, each without one fold (default 2); 1: one on everything"
    )
    parser.add_argument("--backbone", default="squeezenet1_1", help="squeezenet1_1 (default) or resnet18")
    parser.add_argument("--weights", metavar="FILE", help="local weights of the backbone (default: random)")
    parser.add_argument(
        "--image-size", type=int, nargs=2, default=(192, 256), metavar=("HEIGHT", "WIDTH"), help="px (default 192 256)"
    )
    parser.add_argument("--max-images-per-class", type=int, metavar="N", help="draw at most N images of each class")
    parser.add_argument("--batch-size", type=int, default=16, help="default 16")
    parser.add_argument("--max-epochs", type=int, default=60, help="of each network (default 60)")
    parser.add_argument(
        "--patience-epochs", type=int, default=6, help="stop after so many epochs without improvement (default 6)"
    )
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_tool(main)
