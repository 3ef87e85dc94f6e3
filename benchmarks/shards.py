"""How fast images are read and decoded from shards, beside the same images in files of their own.

Both take turns in one process, with warm caches: what is compared is the work of the processor, not of a disk. Of a
network's file system, for which shards are meant, it tells nothing. Medians of wall time and of processor time are
printed, and the median over the rounds of each round's ratio.

Example: care prepare shards MANIFEST --output SHARDS; python benchmarks/shards.py MANIFEST SHARDS/manifest.csv
"""

import argparse
import statistics
import time


def images_per_second(dataset, num_images: int) -> tuple[float, float]:
    """By wall time and by processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    for _ in dataset:
        pass
    return num_images / (time.perf_counter() - wall), num_images / (time.process_time() - processor)


def main() -> None:
    """Prints one line for each, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", help="manifest of files")
    parser.add_argument("shards", help="manifest of the same images in shards")
    parser.add_argument("--images", type=int, default=None, help="the first so many (default all)")
    parser.add_argument("--size", type=int, default=128, help="height and width after resizing, px (default 128)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default 5)")
    arguments = parser.parse_args()

    from care_tf.data import evaluation_dataset, read_manifest

    datasets, num_images = {}, 0
    for name in ("files", "shards"):
        rows = read_manifest(getattr(arguments, name), check_images=False)
        rows = rows.subset(range(min(len(rows), arguments.images or len(rows))))
        datasets[name] = evaluation_dataset(rows, (arguments.size, arguments.size), 32)
        num_images = len(rows)
    rounds = [
        {name: images_per_second(dataset, num_images) for name, dataset in datasets.items()}
        for _ in range(arguments.rounds + 1)
    ][1:]
    for name in datasets:
        wall, processor = (statistics.median(each[name][i] for each in rounds) for i in (0, 1))
        print(f"{name}: {wall:.0f} images/s, {processor:.0f} for each second of a processor")
    for i, kind in enumerate(("wall time", "processor time")):
        ratios = sorted(each["shards"][i] / each["files"][i] for each in rounds)
        print(f"shards / files, {kind}: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
