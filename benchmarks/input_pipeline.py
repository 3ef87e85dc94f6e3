"""How fast the input pipeline is, and what each part costs: reading and decoding alone, augmentation, masks.

How many times what SqueezeNet consumes in training, on the same cores, is printed beside it.

Generated 200 x 150 px JPEGs: read and decoded and nothing else, which is the limit of the rest; the training pipeline
without augmentation (resized, in batches); with it; and with it and boxes on 1 of 50 images (a rare class), or on all.
An epoch starts its data set anew, which takes about .5 s of it and is shared by many images only where there are many.
The variants take turns in one process: medians of wall time and of processor time (the steadier one on a shared
machine), and the median, the least and the most over the rounds of each round's ratio.

Example: python benchmarks/input_pipeline.py --docs docs/performance.md
"""

import argparse
import dataclasses
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from records import (
    Record,
    add_output,
    machine,
    machine_text,
    put_between_marks,
    record,
    records_of,
    write_records,
)
from rounds import Spread, in_turns

TARGET_MULTIPLE = 2.0
TARGET_RATIO = 0.85
RARE = 50
STEP, NUM_STEPS = "SqueezeNet step", 6
DECODING, UNCHANGED, AUGMENTED = "decoding alone", "no augmentation", "no masks"
MASKED = ("rare boxes", "all boxes")  # augmented, and their masks with them
CLOCK, PROCESSOR = "s an image", "processor s an image"
TITLES = {
    DECODING: "reading and decoding alone",
    UNCHANGED: "the training pipeline, no augmentation",
    AUGMENTED: "with rotation, flips and color",
    "rare boxes": "and masks of boxes on 1 image of 50",
    "all boxes": "and masks of boxes on all",
}


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


def decoded(paths: Sequence[str]):
    """A data set that reads and decodes, on as many threads as TensorFlow takes."""
    import tensorflow as tf

    files = tf.data.Dataset.from_tensor_slices(list(paths))
    return files.map(lambda path: tf.io.decode_jpeg(tf.io.read_file(path), channels=3), tf.data.AUTOTUNE)


def variants(folder: Path, num_images: int, size: int, batch: int):
    """Name -> data set, of the same image files."""
    import numpy as np

    from care_tf.data import Augmentation, training_dataset

    everywhere = write_images(folder, num_images)
    none = np.zeros((0, 4), np.float32)
    pairs = zip(everywhere.boxes, everywhere.labels, strict=True)
    rare = dataclasses.replace(everywhere, boxes=tuple(boxes if label else none for boxes, label in pairs))

    def pipeline(manifest, augmentation, masks):
        return training_dataset(manifest, (size, size), batch, seed=0, augmentation=augmentation, masks=masks)

    return {
        DECODING: decoded(everywhere.image_paths),
        UNCHANGED: pipeline(rare, None, False),
        AUGMENTED: pipeline(rare, Augmentation(), False),
        "rare boxes": pipeline(rare, Augmentation(), True),
        "all boxes": pipeline(everywhere, Augmentation(), True),
    }


def records(case: str, wall: Mapping[str, list[float]], processor: Mapping[str, list[float]]) -> list[Record]:
    """Seconds an image: of everything beside decoding alone, of masks beside the same pipeline without them."""
    found = [record("input_pipeline", case, "rare boxes", CLOCK, wall["rare boxes"], STEP, wall[STEP])]
    for unit, seconds in ((CLOCK, wall), (PROCESSOR, processor)):
        own = {name: seconds[name] for name in TITLES}
        found += records_of("input_pipeline", case, unit, own, DECODING)
        found += [record("input_pipeline", case, each, unit, own[each], AUGMENTED, own[AUGMENTED]) for each in MASKED]
    return found


def table(found: Sequence[Record]) -> str:
    """Images a second, and the speed beside decoding alone and beside the pipeline without masks."""
    lines = [
        "| | images/s | images for each second of a processor | processor time: times decoding alone "
        "| times the pipeline without masks |",
        "|---|---|---|---|---|",
    ]
    by_base = {(each["variant"], each["unit"], each.get("base")): each for each in found}
    for name, title in TITLES.items():
        base = DECODING if name != DECODING else None
        rates = [f"{1 / by_base[name, unit, base]['median']:.0f}" for unit in (CLOCK, PROCESSOR)]
        ratios = [by_base.get((name, PROCESSOR, each), {}).get("ratio") for each in (DECODING, AUGMENTED)]
        lines.append(f"| {title} | {' | '.join([*rates, *(_spread(each) for each in ratios)])} |")
    return "\n".join(lines)


def _spread(ratio: Mapping[str, float] | None) -> str:
    return "{:.2f} ({:.2f} to {:.2f})".format(*Spread(**ratio)) if ratio else ""


def main() -> None:
    """Prints the table, and puts it into a page between its marks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000, help="images per epoch (default 2000)")
    parser.add_argument("--size", type=int, default=128, help="height and width after resizing, px (default 128)")
    parser.add_argument("--batch", type=int, default=32, help="images per batch (default 32)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default 5)")
    parser.add_argument("--docs", type=Path, help="page to put the table into")
    add_output(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        datasets = variants(Path(folder), arguments.images, arguments.size, arguments.batch)
        steps = squeezenet_steps(datasets["all boxes"], NUM_STEPS)
        calls = {name: lambda dataset=dataset: sum(1 for _ in dataset) for name, dataset in datasets.items()}
        taken = in_turns({**calls, STEP: steps}, arguments.rounds)
    images = {name: NUM_STEPS * arguments.batch if name == STEP else arguments.images for name in taken}
    wall = {name: [each.wall / images[name] for each in rounds] for name, rounds in taken.items()}
    processor = {name: [each.processor / images[name] for each in rounds] for name, rounds in taken.items()}
    case = f"{arguments.size} px, batch {arguments.batch}"
    found = records(case, wall, processor)
    text = (
        f"{machine_text(machine())} {case}, {arguments.images} images, the median of {arguments.rounds} rounds.\n\n"
        f"{table(found)}\n\nA SqueezeNet training step takes {1 / statistics.median(wall[STEP]):.0f} images/s; the "
        f"pipeline with rare boxes delivers {1 / found[0]['ratio']['median']:.1f} times that (aim: {TARGET_MULTIPLE}). "
        f"The aim for its speed beside the pipeline without masks: at least {TARGET_RATIO}, or {1 / TARGET_RATIO:.2f} "
        "times its time."
    )
    print(text)
    if arguments.docs:
        put_between_marks(arguments.docs, "input_pipeline", text)
    write_records(arguments.output, found)


if __name__ == "__main__":
    main()
