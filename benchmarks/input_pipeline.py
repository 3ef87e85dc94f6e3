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
from pathlib import Path

from records import add_output, record, records_of, write_records
from rounds import in_turns

TARGET_MULTIPLE = 2.0
TARGET_RATIO = 0.85
RARE = 50
STEP, NUM_STEPS = "SqueezeNet step", 6


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


def squeezenet_steps(batches, num_steps: int):
    """A function that trains SqueezeNet on one kept batch, `num_steps` times."""
    from care_tf import CAREModel
    from care_tf.backbones import build_classifier

    batch = next(iter(batches))
    image_size = tuple(batch[0]["image"].shape[1:3])
    model = CAREModel(build_classifier("squeezenet1_1", image_size=image_size, num_classes=2))
    model.compile("adam", "sparse_categorical_crossentropy")

    def steps():
        for _ in range(num_steps):
            model.train_on_batch(*batch)

    return steps


def main() -> None:
    """Prints one line per variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000, help="images per epoch (default 1000)")
    parser.add_argument("--size", type=int, default=128, help="height and width after resizing, px (default 128)")
    parser.add_argument("--batch", type=int, default=32, help="images per batch (default 32)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default 5)")
    add_output(parser)
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
        steps = squeezenet_steps(datasets["all boxes"], NUM_STEPS)
        calls = {name: lambda dataset=dataset: sum(1 for _ in dataset) for name, dataset in datasets.items()}
        taken = in_turns({**calls, STEP: steps}, arguments.rounds)
    images = {name: NUM_STEPS * arguments.batch if name == STEP else arguments.images for name in taken}
    wall = {name: [each.wall / images[name] for each in rounds] for name, rounds in taken.items()}
    processor = {name: [each.processor / images[name] for each in rounds] for name, rounds in taken.items()}
    of_step = wall.pop(STEP)
    del processor[STEP]
    case = f"{arguments.size} px, batch {arguments.batch}"
    found = [
        record("input_pipeline", case, "rare boxes", "s an image", wall["rare boxes"], STEP, of_step),
        *records_of("input_pipeline", case, "s an image", wall, "no masks"),
        *records_of("input_pipeline", case, "processor s an image", processor, "no masks"),
    ]
    print(
        f"TensorFlow {tf.__version__}, {arguments.size} px. A SqueezeNet training step takes "
        f"{1 / statistics.median(of_step):.0f} images/s; the pipeline with rare boxes delivers "
        f"{1 / found[0]['ratio']['median']:.1f} times that (target {TARGET_MULTIPLE})."
    )
    print(f"Speed beside the pipeline without masks (target {TARGET_RATIO}):")
    for each in found[1:]:
        ratio = 1 / each["ratio"]["median"] if "ratio" in each else 1.0
        print(f"{each['variant']:<12}{1 / each['median']:>10.0f} images a {each['unit'][:-9]:<12}{ratio:>8.2f}")
    write_records(arguments.output, found)


if __name__ == "__main__":
    main()
