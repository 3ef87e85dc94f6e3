"""What a loss on embeddings costs beside a training step of a small network on the same batch.

Each loss with its gradient to the embeddings, as a compiled function, and a plain Keras step of SqueezeNet 1.1 take
turns in one process; printed are the medians and their ratios. The network is the smallest that such a loss is meant
for: beside any other it costs less.

Example: python benchmarks/embedding_losses.py --batch 96
"""

import argparse
import statistics
import time

TARGET = 0.10
VARIANTS = (
    {"name": "contrastive"},
    {"name": "triplet"},
    {"name": "triplet", "mining": "semi_hard"},
    {"name": "triplet", "mining": "batch_all"},
    {"name": "class_center"},
    {"name": "n_pair"},
    {"name": "supervised_contrastive"},
)


def make_network_step(size: int, images, labels):
    """One plain training step of SqueezeNet 1.1."""
    import keras

    from care_tf.backbones import build_classifier

    model = build_classifier("squeezenet1_1", image_size=(size, size), num_classes=7)
    model.compile(keras.optimizers.AdamW(1e-4), keras.losses.SparseCategoricalCrossentropy())
    return lambda: model.train_on_batch(images, labels)


def make_loss_step(setting, labels, embeddings):
    """One loss and its gradient."""
    import tensorflow as tf

    from care_tf.losses import get_embedding_loss

    loss = get_embedding_loss(setting)

    @tf.function(autograph=False)
    def value_and_gradient(labels, embeddings):
        with tf.GradientTape() as tape:
            tape.watch(embeddings)
            value = loss(labels, embeddings)
        return value, tape.gradient(value, embeddings)

    def step():
        value, gradient = value_and_gradient(labels, embeddings)
        return float(value), gradient.numpy()  # waits for an accelerator to finish

    return step


def main() -> None:
    """Prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--size", type=int, default=128, help="image side, px")
    parser.add_argument("--dimensions", type=int, default=512, help="of an embedding")
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()

    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(0)
    images = rng.normal(size=(arguments.batch, arguments.size, arguments.size, 3)).astype(np.float32)
    labels = rng.integers(0, 7, arguments.batch)
    # Not negative, as pooled activations are.
    embeddings = tf.constant(abs(rng.normal(size=(arguments.batch, arguments.dimensions))).astype(np.float32))
    steps = {"network": make_network_step(arguments.size, images, labels)}
    for setting in VARIANTS:
        name = " ".join(setting.values())
        steps[name] = make_loss_step(setting, tf.constant(labels), embeddings)

    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(arguments.repeats + 2):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if repeat >= 2:  # the first calls trace and warm up
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        f"batch {arguments.batch}, squeezenet1_1 at {arguments.size} px, {arguments.dimensions} dimensions, "
        f"median of {arguments.repeats}"
    )
    for name, median in medians.items():
        ratios = sorted(a / b for a, b in zip(seconds[name], seconds["network"], strict=True))
        print(
            f"{name:22} {1e3 * median:8.2f} ms  ratio {median / medians['network']:.4f} "
            f"(pairs {ratios[0]:.4f} to {ratios[-1]:.4f})"
        )
    print(f"target for every loss: ratio <= {TARGET:.2f}")


if __name__ == "__main__":
    main()
