"""What reading and decoding an image costs from shards, beside the same images in files of their own.

Both take turns in one process, with warm caches: what is compared is the work of the processor, not of a disk. Of a
network's file system, for which shards are meant, it tells nothing. Images are generated (200 x 150 px JPEGs) or those
of a manifest; the shards are written into a temporary folder. Printed are medians of wall time and of processor time,
and the median, the least and the most of the rounds' ratios.

Example: python benchmarks/shards.py --manifest data/isic2018/manifest.csv --images 2000
"""

import argparse
import tempfile
from pathlib import Path

from input_pipeline import write_images
from records import add_output, records_of, write_records
from rounds import Spread, in_turns


def read_all(dataset) -> None:
    """Goes through a data set."""
    for _ in dataset:
        pass


def main() -> None:
    """Prints one line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, help="of images in files (default: generated ones)")
    parser.add_argument("--images", type=int, default=1000, help="so many, or the first so many (default 1000)")
    parser.add_argument("--size", type=int, default=128, help="height and width after resizing, px (default 128)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default 5)")
    add_output(parser)
    arguments = parser.parse_args()

    from care_tf.data import evaluation_dataset, read_manifest
    from care_tf.data.shards import write_shards

    with tempfile.TemporaryDirectory() as folder:
        images, shards = Path(folder, "images"), Path(folder, "shards")
        images.mkdir()
        if arguments.manifest is None:
            files = write_images(images, arguments.images)
        else:
            files = read_manifest(arguments.manifest, check_images=False)
            files = files.subset(range(min(len(files), arguments.images)))
        in_shards = write_shards(files, shards).manifest
        if len(in_shards) != len(files):
            raise SystemExit(f"{len(files) - len(in_shards)} images cannot be read. See care prepare shards.")
        size = (arguments.size, arguments.size)
        datasets = {
            name: evaluation_dataset(rows, size, 32) for name, rows in (("files", files), ("shards", in_shards))
        }
        calls = {name: lambda dataset=dataset: read_all(dataset) for name, dataset in datasets.items()}
        taken = in_turns(calls, arguments.rounds)
    found = []
    for unit, what in (("s an image", "wall"), ("processor s an image", "processor")):
        seconds = {name: [getattr(each, what) / len(files) for each in rounds] for name, rounds in taken.items()}
        found += records_of("shards", f"{len(files)} images, {arguments.size} px", unit, seconds, "files")
    for each in found:
        ratio = f"  ratio {Spread(**each['ratio'])}" if "ratio" in each else ""
        print(f"{each['variant']:<8}{1e3 * each['median']:8.2f} {each['unit'].replace('s an', 'ms an')}{ratio}")
    write_records(arguments.output, found)


if __name__ == "__main__":
    main()
