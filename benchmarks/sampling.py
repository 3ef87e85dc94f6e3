"""What sampling costs in the input pipeline: class-balanced and class-aware epochs against plain shuffling.

Synthetic lesions, decoded once and kept in memory, so that drawing the indices is not hidden behind reading files. The
variants take turns in one process; printed are the median, the least and the most of the rounds' ratios, by wall time
and by processor time. Plain
shuffling takes part twice: what its second ratio is off 1 is the noise.

Without masks the sampling alone is compared. With them a balanced epoch also holds more images of the rare class, the
only one with boxes, and moves more masks.

Example: python benchmarks/sampling.py --images 600
"""

import argparse
import contextlib
import itertools
import os
import tempfile

from records import add_output, records_of, write_records
from rounds import Spread, in_turns, spread

TARGET_RATIO = 0.95
PLAIN = "plain shuffle"
SETTINGS = {
    PLAIN: "instance_balanced",
    "plain shuffle again": "instance_balanced",
    "class_balanced": "class_balanced",
    "class_aware": {"name": "class_aware", "images_per_class": 8},
}


def build_datasets(manifest, size: int, batch_size: int):
    """(name, masks) -> one dataset, and how many images and batches an epoch of it has."""
    from care_tf.data import Augmentation, get_sampling, image_loader, num_drawn, steps_per_epoch, training_dataset

    loader = image_loader(manifest, (size, size), "memory")
    datasets = {}
    for masks, (name, setting) in itertools.product((False, True), SETTINGS.items()):
        order = get_sampling(setting, manifest, batch_size=batch_size, num_epochs=1)
        dataset = training_dataset(
            manifest,
            (size, size),
            batch_size,
            seed=0,
            augmentation=Augmentation(),
            masks=masks,
            cache=loader,
            order=order,
        )
        steps = steps_per_epoch(manifest, batch_size, order)
        datasets[name, masks] = (dataset, num_drawn(len(manifest), order), steps)
    return datasets


def measure(datasets, num_epochs: int, num_rounds: int) -> dict:
    """Wall and processor seconds an image of every round."""

    def epochs(dataset, num_batches: int) -> None:
        delivered = sum(1 for _ in range(num_epochs) for _ in dataset)
        assert delivered == num_epochs * num_batches

    calls = {key: lambda own=own: epochs(own[0], own[2]) for key, own in datasets.items()}
    taken = in_turns(calls, num_rounds)
    images = {key: num_epochs * num_images for key, (_, num_images, _) in datasets.items()}
    return {key: [(s.wall / images[key], s.processor / images[key]) for s in rounds] for key, rounds in taken.items()}


def main() -> None:
    """Prints one line per variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000, help="images per epoch, about (default 1000)")
    parser.add_argument("--size", type=int, default=128, help="height and width, px (default 128)")
    parser.add_argument("--batch", type=int, default=32, help="images per batch, a multiple of 8 (default 32)")
    parser.add_argument("--epochs", type=int, default=1, help="epochs per measurement (default 1)")
    parser.add_argument("--rounds", type=int, default=15, help="rounds that count, at least 2 (default 15)")
    add_output(parser)
    arguments = parser.parse_args()
    import tensorflow as tf

    from care_tf.data import read_manifest
    from care_tf.datasets import SyntheticLesions

    counts = tuple(max(8, round(arguments.images * part)) for part in (0.52, 0.24, 0.21, 0.03))
    lesions = SyntheticLesions(
        size_px=arguments.size, train_counts=counts, validation_counts=(1,) * 4, test_counts=(1,) * 4
    )
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        manifest = read_manifest(lesions.write(folder)).select(split="train")
        with contextlib.redirect_stderr(nowhere):
            datasets = build_datasets(manifest, arguments.size, arguments.batch)
    taken = measure(datasets, arguments.epochs, arguments.rounds)
    print(
        f"TensorFlow {tf.__version__}, {len(manifest)} images of {arguments.size} px ({counts} per class), batches of "
        f"{arguments.batch}, {arguments.rounds} rounds. Time of an image beside plain shuffling, target "
        f"{1 / TARGET_RATIO:.2f}."
    )
    found = []
    for masks, (column, unit) in itertools.product((False, True), enumerate(("s an image", "processor s an image"))):
        seconds = {
            name: [each[column] for each in rounds] for (name, masked), rounds in taken.items() if masked == masks
        }
        case = f"{arguments.size} px, batch {arguments.batch}, {'with' if masks else 'without'} masks"
        for each in records_of("sampling", case, unit, seconds, PLAIN):
            ratio = Spread(**each["ratio"]) if "ratio" in each else spread([1.0])
            print(f"{each['variant']:<22}{1 / each['median']:>10.0f} images a {unit[:-9]:<12} {ratio}  {case}")
            found.append(each)
    write_records(arguments.output, found)


if __name__ == "__main__":
    main()
