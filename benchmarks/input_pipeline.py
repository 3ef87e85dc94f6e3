"""How fast the input pipeline is, and what masks cost in it: read, decode, resize, rasterize, augment, batch.

How many times what SqueezeNet consumes in training, on the same cores, is printed beside it.

Generated 200 x 150 px JPEGs; the same pipeline without masks, with boxes on 1 of 50 images (a rare class) and with
boxes on all. The variants take turns in one process; medians of wall time and of processor time (the steadier one on a
shared machine) are printed, and the median over the rounds of each round's ratio.

Example: python benchmarks/input_pipeline.py --images 1000
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

TARGET_MULTIPLE = 2.0
TARGET_RATIO = 0.85
RARE = 50


def write_images(folder: Path, num_images: int):
    """A manifest of smooth noise JPEGs, one box each."""
    import cv2
    import numpy as np

    from care_tf.data import Manifest

    random = np.random.default_rng(0)
    paths = []
    for i in range(num_images):
        coarse = random.integers(60, 220, (15, 20, 3), np.uint8)
        paths.append(str(folder / f"{i}.jpg"))
        cv2.imwrite(paths[-1], cv2.resize(coarse, (200, 150), interpolation=cv2.INTER_CUBIC))
    labels = np.arange(num_images) % RARE == 0
    boxes = (np.array([[50, 40, 140, 110]], np.float32),) * num_images
    return Manifest(tuple(paths), labels, ("common", "rare"), boxes, source=str(folder))


def measure(datasets, num_images: int, num_rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Images/s by wall time and by processor time of every round; the first round is warm-up."""
    speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in datasets}
    for _ in range(num_rounds + 1):
        for name, dataset in datasets.items():
            wall, processor = time.perf_counter(), time.process_time()
            for _ in dataset:
                pass
            speeds[name].append(
                (num_images / (time.perf_counter() - wall), num_images / (time.process_time() - processor))
            )
    return {name: rounds[1:] for name, rounds in speeds.items()}


def squeezenet_steps(batches, num_steps: int):
    """Something to iterate over that trains SqueezeNet on one kept batch, `num_steps` times."""
    from care_tf import CAREModel
    from care_tf.backbones import build_classifier

    batch = next(iter(batches))
    image_size = tuple(batch[0]["image"].shape[1:3])
    model = CAREModel(build_classifier("squeezenet1_1", image_size=image_size, num_classes=2))
    model.compile("adam", "sparse_categorical_crossentropy")

    class Steps:
        def __iter__(self):
            for _ in range(num_steps):
                yield model.train_on_batch(*batch)

    return Steps()


def main() -> None:
    """Prints one line per variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000, help="images per epoch (default 1000)")
    parser.add_argument("--size", type=int, default=128, help="height and width after resizing, px (default 128)")
    parser.add_argument("--batch", type=int, default=32, help="images per batch (default 32)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default 5)")
    arguments = parser.parse_args()
    import dataclasses

    import numpy as np
    import tensorflow as tf

    from care_tf.data import Augmentation, training_dataset

    with tempfile.TemporaryDirectory() as folder:
        all_boxes = write_images(Path(folder), arguments.images)
        none = np.zeros((0, 4), np.float32)
        pairs = zip(all_boxes.boxes, all_boxes.labels, strict=True)
        rare_boxes = dataclasses.replace(all_boxes, boxes=tuple(boxes if label else none for boxes, label in pairs))
        variants = {"no masks": (rare_boxes, False), "rare boxes": (rare_boxes, True), "all boxes": (all_boxes, True)}
        datasets = {
            name: training_dataset(
                manifest,
                (arguments.size, arguments.size),
                arguments.batch,
                seed=0,
                augmentation=Augmentation(),
                masks=masks,
            )
            for name, (manifest, masks) in variants.items()
        }
        datasets["SqueezeNet step"] = squeezenet_steps(datasets["all boxes"], num_steps=6)
        speeds = measure(datasets, arguments.images, arguments.rounds)
    steps = speeds.pop("SqueezeNet step")
    consumed = [(6 * arguments.batch / arguments.images * wall, 0.0) for wall, _ in steps]
    multiples = [a[0] / b[0] for a, b in zip(speeds["rare boxes"], consumed, strict=True)]
    print(
        f"TensorFlow {tf.__version__}, {arguments.size} px. A SqueezeNet training step takes "
        f"{statistics.median(each[0] for each in consumed):.0f} images/s; the pipeline with rare boxes delivers "
        f"{statistics.median(multiples):.1f} times that (target {TARGET_MULTIPLE})."
    )
    print(f"Ratios to the pipeline without masks (target {TARGET_RATIO}):")
    print(f"{'':<12}{'images/s':>10}{'ratio':>8}{'images per processor second':>30}{'ratio':>8}")
    for name, rounds in speeds.items():
        line = f"{name:<12}"
        for column, width in ((0, 10), (1, 30)):
            speed = statistics.median(each[column] for each in rounds)
            pairs = zip(rounds, speeds["no masks"], strict=True)
            ratio = statistics.median(each[column] / without[column] for each, without in pairs)
            line += f"{speed:>{width}.0f}{ratio:>8.2f}"
        print(line)


if __name__ == "__main__":
    main()
