"""What an image costs as there are more of them: reading a manifest, drawing epochs, batches, scores, predictions.

A manifest of up to a million rows lists hard links to a few JPEGs, a tenth of them with a box. Each size is measured in
a process of its own. Printed are processor time (wall time for images/s) and memory for each image, and the ratio of
the largest size to the smallest: 1 is flat. Memory is the growth of the process (RSS), at its peak while reading, and
what Python counts as kept afterwards (tracemalloc, in a second reading).

Example: python benchmarks/many_rows.py --images 10000 100000 1000000 --folder /tmp/links --docs docs/performance.md
"""

import argparse
import collections
import functools
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

from records import Record, add_output, machine, machine_text, put_between_marks, record, write_records
from rounds import peak_memory_mib

CLASSES, RESAMPLES, BATCHES = 7, 4, 60
LINKS_PER_FILE = 40_000  # ext4 allows 65,000


def write_links(folder: Path, num_images: int) -> None:
    """`img/000/image_0000000.jpg` and so on, ten thousand in a folder; those that are there stay."""
    import cv2
    import numpy as np

    random = np.random.default_rng(0)
    for i in range(num_images):
        real, link = folder / f"real_{i // LINKS_PER_FILE}.jpg", image_path(folder, i)
        if i % LINKS_PER_FILE == 0 and not real.exists():
            coarse = random.integers(60, 220, (15, 20, 3), np.uint8)
            cv2.imwrite(str(real), cv2.resize(coarse, (200, 150), interpolation=cv2.INTER_CUBIC))
        if i % 10_000 == 0:
            os.makedirs(os.path.dirname(link), exist_ok=True)
        if not os.path.exists(link):
            os.link(real, link)


def image_path(folder: Path, i: int) -> str:
    return f"{folder}/img/{i // 10_000:03d}/image_{i:07d}.jpg"


def write_rows(folder: Path, num_images: int) -> Path:
    """The manifest of the first images."""
    path = folder / f"manifest_{num_images}.csv"
    with open(path, "w") as file:
        file.write("image,label,boxes,group,split,fold,box_source\n")
        for i in range(num_images):
            box = '"[[10, 20, 110.5, 140]]",' if i % 10 == 0 else ","
            image, split = os.path.relpath(image_path(folder, i), folder), "test" if i % 10 == 9 else "train"
            file.write(
                f"{image},class {i % CLASSES},{box}patient {i // 3},{split},{i % 5},{'dsr' if i % 10 == 0 else ''}\n"
            )
    return path


def measure(path: str) -> dict[str, float]:
    """Step -> its cost for each image; in a process that has done nothing else."""
    import numpy as np

    from care_tf.data import (
        draw_epoch,
        epoch_class_counts,
        epoch_order,
        get_sampling,
        read_manifest,
        stratified_image_split,
        training_dataset,
    )
    from care_tf.evaluation import evaluate_predictions
    from care_tf.images.header import read_image_header
    from care_tf.runs._run_predictions import Predictions, write_predictions

    with open(path) as file:  # imports what reading needs, and is no part of its memory
        read_image_header(Path(path).parent / file.readlines(200)[1].partition(",")[0])
    costs: dict[str, float] = {}
    before = _memory()
    num_images, wall = 1, 0.0

    def timed(name, function):
        nonlocal wall
        wall, start = time.perf_counter(), time.process_time()
        result = function()
        costs[f"{name}, us"] = (time.process_time() - start) / num_images * 1e6
        wall = time.perf_counter() - wall
        return result

    manifest = timed("reading the manifest", lambda: read_manifest(path))
    num_images = len(manifest)
    costs["reading the manifest, us"] /= num_images
    costs["memory after reading, bytes"] = (_memory() - before) / num_images
    costs["memory at the peak, bytes"] = (peak_memory_mib() * 2**20 - before) / num_images
    timed("fingerprint", manifest.fingerprint)
    timed("selecting the training rows", lambda: manifest.select(split="train"))
    timed("split by image", lambda: stratified_image_split(manifest.labels, 0.2))
    counts = epoch_class_counts(list(manifest.class_counts.values()), "class_balanced")
    rng = np.random.default_rng(0)
    timed("class-balanced epoch", lambda: draw_epoch(manifest.labels, counts, rng))
    setting = {"name": "class_aware", "images_per_class": 8}
    order = get_sampling(setting, manifest, batch_size=32, num_epochs=1)
    timed("class-aware epoch", lambda: order.indices(0, 0))
    timed("epoch order", lambda: epoch_order(num_images, 0, 0).numpy())
    before = _memory()

    def start():
        batches = iter(training_dataset(manifest, (128, 128), 32, seed=0, first_epoch=0))
        next(batches)
        return batches

    batches = timed("start of training", start)
    costs["memory of training, bytes"] = (_memory() - before) / num_images
    timed("batches", functools.partial(collections.deque, itertools.islice(batches, BATCHES), maxlen=0))
    costs.pop("batches, us")
    costs["images/s"] = BATCHES * 32 / wall
    del batches
    probabilities = rng.dirichlet(np.ones(CLASSES), num_images).astype(np.float32)
    inside = np.where(manifest.has_boxes, 0.5, np.nan).astype(np.float32)
    before = _memory()
    timed(
        f"scores with {RESAMPLES} resamples",
        lambda: evaluate_predictions(
            manifest.labels,
            probabilities,
            manifest.class_names,
            groups=manifest.groups,
            attention_inside=inside,
            num_resamples=RESAMPLES,
        ),
    )
    costs["memory of scores at the peak, bytes"] = (peak_memory_mib() * 2**20 - before) / num_images
    with tempfile.TemporaryDirectory() as folder:
        timed(
            "predictions.csv",
            lambda: write_predictions(Path(folder), manifest, Predictions(probabilities, inside, ~np.isnan(inside))),
        )
    del manifest
    tracemalloc.start()
    manifest = read_manifest(path, check_images=False)
    costs["memory that Python keeps, bytes"] = tracemalloc.get_traced_memory()[0] / num_images
    return costs


def _memory() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def table(costs: dict[int, dict[str, float]]) -> str:
    """A Markdown table: a step a line, a size a column, and the ratio of the last to the first."""
    sizes = sorted(costs)
    lines = [
        f"| for each image | {' | '.join(f'{size:,}' for size in sizes)} | ratio |",
        f"|{'---|' * (len(sizes) + 2)}",
    ]
    for name in costs[sizes[0]]:
        values = [costs[size][name] for size in sizes]
        texts = " | ".join(f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in values)
        lines.append(f"| {name} | {texts} | {values[-1] / values[0]:.2f} |")
    return "\n".join(lines)


def records(costs: dict[int, dict[str, float]]) -> list[Record]:
    """Each step at the largest size, beside the smallest; of images/s the seconds of one."""
    smallest, largest = min(costs), max(costs)
    found = []
    for name in costs[smallest]:
        before, after = costs[smallest][name], costs[largest][name]
        name, before, after = ("s an image", 1 / before, 1 / after) if name == "images/s" else (name, before, after)
        found.append(record("many_rows", "one run", f"{largest} rows", name, [after], f"{smallest} rows", [before]))
    return found


def main() -> None:
    """Prints the table, and puts it into a page between its marks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10_000], help="sizes (default 1000 10000)")
    parser.add_argument("--folder", type=Path, help="where the links are kept for the next time; by default nowhere")
    parser.add_argument("--docs", type=Path, help="page to put the table into")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    add_output(parser)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        write_links(folder, max(arguments.images))
        costs = {}
        for size in arguments.images:
            command = [sys.executable, __file__, "--measure", str(write_rows(folder, size))]
            costs[size] = json.loads(
                subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1]
            )
    text = f"{machine_text(machine())} One run.\n\n{table(costs)}"
    print(text)
    if arguments.docs:
        put_between_marks(arguments.docs, "many_rows", text)
    write_records(arguments.output, records(costs))


if __name__ == "__main__":
    main()
