"""Images per second of training with a frozen lower part: computed in every epoch, and cached once.

SqueezeNet 1.1 at 128 px, frozen through fire7, flips only; the two take turns in one process, on decoded images held in
memory. The time to fill the cache is printed, and the number of epochs after which it has paid.

Example: python benchmarks/cached_activations.py --rounds 5
"""

import argparse
import functools
import statistics
import tempfile
import time
from pathlib import Path

from records import add_output, records_of, write_records
from rounds import in_turns

CUT, ATTENTION_LAYER = "fire7_concat", "fire9_concat"


def main() -> None:
    """Prints the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    add_output(parser)
    arguments = parser.parse_args()

    import keras

    from care_tf import CAREModel
    from care_tf.backbones import build_classifier, get_backbone
    from care_tf.data import Augmentation, image_loader, read_manifest, training_dataset
    from care_tf.data.activation_cache import activation_training_dataset, compute_activations, flips_of
    from care_tf.datasets import SyntheticLesions
    from care_tf.network.cutting import cut_network
    from care_tf.network.freezing import Freezer

    size, flips = (128, 128), Augmentation(rotation_degrees=0, brightness=0, contrast=0, saturation=0, hue=0)
    with tempfile.TemporaryDirectory() as folder:
        path = SyntheticLesions(seed=0, size_px=128, train_counts=(arguments.images // 4,) * 4).write(
            Path(folder) / "x"
        )
        manifest = read_manifest(path).select(split="train")
        loader = image_loader(manifest, size, "memory")
        classifier = build_classifier("squeezenet1_1", image_size=size, num_classes=4, seed=0)
        Freezer(classifier).freeze_through(CUT)
        preprocess = get_backbone("squeezenet1_1").preprocess
        lower, upper = cut_network(classifier, CUT, ATTENTION_LAYER)
        start = time.perf_counter()
        cache = compute_activations(manifest, loader, lambda x: lower(preprocess(x), training=False), flips_of(flips))
        filling = time.perf_counter() - start
        settings = {"seed": 0, "augmentation": flips, "first_epoch": 0}
        runs = {
            "every epoch": (classifier, training_dataset(
                manifest, size, arguments.batch, preprocess=preprocess, cache=loader, **settings
            )),
            "cached": (upper, activation_training_dataset(manifest, cache, size, arguments.batch, **settings)),
        }  # fmt: skip
        steps = -(-len(manifest) // arguments.batch)
        calls = {}
        for name, (network, dataset) in runs.items():
            model = CAREModel(network, ATTENTION_LAYER)
            model.compile(keras.optimizers.AdamW(1e-4), "sparse_categorical_crossentropy")
            fit = functools.partial(model.fit, dataset, epochs=1, steps_per_epoch=steps, verbose=0, shuffle=False)
            calls[name] = fit
        taken = in_turns(calls, arguments.rounds)
    seconds = {name: [each.wall / len(manifest) for each in rounds] for name, rounds in taken.items()}
    for name, values in seconds.items():
        low, high = 1 / max(values), 1 / min(values)
        print(f"{name:12} {1 / statistics.median(values):6.0f} images/s ({low:.0f} to {high:.0f})")
    plain, cached = (len(manifest) * statistics.median(seconds[name]) for name in runs)
    epochs = filling / (plain - cached) if plain > cached else float("inf")
    print(f"filling the cache: {filling:.0f} s, {len(cache.signs)} flips; it has paid after {epochs:.1f} epochs")
    case = f"SqueezeNet 1.1, 128 px, batch {arguments.batch}"
    write_records(arguments.output, records_of("cached_activations", case, "s an image", seconds, "every epoch"))


if __name__ == "__main__":
    main()
