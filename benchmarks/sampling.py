"""What sampling costs in the input pipeline: class-balanced and class-aware epochs against plain shuffling.

Synthetic lesions, decoded once and kept in memory, so that drawing the indices is not hidden behind reading files. The
variants take turns in one process, in an order of their own in every round; each round gives one ratio, of which the
median and the quartiles are printed, by wall time and by processor time (the steadier one on a shared machine). Plain
shuffling takes part twice: what its second ratio is off 1 is the noise.

Without masks the sampling alone is compared. With them a balanced epoch also holds more images of the rare class, the
only one with boxes, and moves more masks.

Example: python benchmarks/sampling.py --images 600
"""

import argparse
import contextlib
import itertools
import os
import random
import statistics
import tempfile
import time

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
    """Images/s by wall time and by processor time of every round; the first round is warm-up."""
    speeds: dict = {key: [] for key in datasets}
    turns = random.Random(0)
    for _ in range(num_rounds + 1):
        for key in turns.sample(list(datasets), len(datasets)):
            dataset, num_images, num_batches = datasets[key]
            wall, processor = time.perf_counter(), time.process_time()
            delivered = sum(1 for _ in range(num_epochs) for _ in dataset)
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            assert delivered == num_epochs * num_batches
            speeds[key].append((num_epochs * num_images / wall, num_epochs * num_images / processor))
    return {key: rounds[1:] for key, rounds in speeds.items()}


def main() -> None:
    """Prints one line per variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000, help="images per epoch, about (default 1000)")
    parser.add_argument("--size", type=int, default=128, help="height and width, px (default 128)")
    parser.add_argument("--batch", type=int, default=32, help="images per batch, a multiple of 8 (default 32)")
    parser.add_argument("--epochs", type=int, default=1, help="epochs per measurement (default 1)")
    parser.add_argument("--rounds", type=int, default=15, help="rounds that count, at least 2 (default 15)")
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
    speeds = measure(datasets, arguments.epochs, arguments.rounds)
    print(
        f"TensorFlow {tf.__version__}, {len(manifest)} images of {arguments.size} px ({counts} per class), batches of "
        f"{arguments.batch}, {arguments.rounds} rounds. Ratios to plain shuffling: median [quartiles], "
        f"target {TARGET_RATIO}."
    )
    print(f"{'':<32}{'images/s':>10}{'ratio':>20}{'per processor second':>24}{'ratio':>20}")
    for (name, masks), rounds in speeds.items():
        line = f"{name + (', with masks' if masks else ''):<32}"
        for column, width in ((0, 10), (1, 24)):
            speed = statistics.median(each[column] for each in rounds)
            pairs = zip(rounds, speeds[PLAIN, masks], strict=True)
            low, middle, high = statistics.quantiles([each[column] / plain[column] for each, plain in pairs], n=4)
            line += f"{speed:>{width}.0f}{f'{middle:.3f} [{low:.3f} {high:.3f}]':>20}"
        print(line)


if __name__ == "__main__":
    main()
