"""Whether memory stays flat over a long fit: CAREModel with maps in the loss, and attention maps for TensorBoard.

One `fit` of --steps steps on a small network, fresh batches in every step, and `CARETensorBoard` after every 100 steps,
an epoch here. Prints the resident set after each, and how much it grew over the last three quarters: what the start
takes, such as tracing, is over by then.

Example: python benchmarks/memory.py --steps 2000
"""

import argparse
import tempfile
import time
from pathlib import Path

from records import add_output, record, write_records

EPOCH = 100


def resident_mib() -> float:
    """This process's resident set."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main() -> None:
    """Prints the resident set every 100 steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--no-monitor", action="store_true", help="fit alone, without TensorBoard")
    add_output(parser)
    arguments = parser.parse_args()

    import keras
    import tensorflow as tf

    from care_tf import CAREModel
    from care_tf.backbones import build_classifier
    from care_tf.callbacks import CARETensorBoard

    batch, size = arguments.batch, arguments.size
    outside = [0, size - size // 4]

    def batch_of(number):
        image = tf.random.stateless_uniform((batch, size, size, 3), (0, number))
        mask = tf.pad(tf.ones((batch, size // 4, size // 4, 1)), [[0, 0], outside, outside, [0, 0]])
        return {"image": image, "mask": mask}, tf.range(batch, dtype=tf.int32) % 3

    dataset = tf.data.Dataset.range(10**9).map(lambda number: batch_of(tf.cast(number, tf.int32)))
    model = CAREModel(build_classifier("small_cnn", image_size=(size, size), num_classes=3, seed=0), alpha=0.5)
    model.compile("adam", "sparse_categorical_crossentropy")
    resident, shown = [], []

    class Resident(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            resident.append(resident_mib())
            print(f"{EPOCH * (epoch + 1):6} steps  {resident[-1]:7.1f} MiB", flush=True)

    class Timed(CARETensorBoard):
        def on_epoch_end(self, epoch, logs=None):
            start = time.process_time()
            super().on_epoch_end(epoch, logs)
            shown.append(time.process_time() - start)

    with tempfile.TemporaryDirectory() as folder:
        monitor = [] if arguments.no_monitor else [Timed(folder, next(iter(dataset)))]
        epochs = arguments.steps // EPOCH
        model.fit(dataset, epochs=epochs, steps_per_epoch=EPOCH, verbose=0, callbacks=[*monitor, Resident()])
    settled = resident[len(resident) // 4 :]
    print(f"growth over the last {EPOCH * (len(settled) - 1)} steps: {settled[-1] - settled[0]:+.1f} MiB")
    case = f"small_cnn, {size} px, batch {batch}, {EPOCH * (len(settled) - 1)} steps"
    # In the last round as in the first, or it grows.
    found = record("memory", case, "at the end", "MiB", settled[-1:], "once settled", settled[:1])
    write_records(arguments.output, [found])
    if shown:
        print(f"CARETensorBoard: {sorted(shown)[len(shown) // 2]:.2f} CPU s an epoch (median)")


if __name__ == "__main__":
    main()
