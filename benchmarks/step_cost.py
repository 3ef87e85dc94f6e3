"""What a CARE training step costs beside a plain Keras step of the same network, batch and input.

Time: the variants take turns in one process, and the ratio of their medians is printed. Memory: the peak resident set
of a process of its own for each variant. "two passes" is Algorithm 2 of the paper (Zhuang et al. 2023): one backward
pass for the classification loss, a second one for the attention loss, with the map's weights constant.

Example: python benchmarks/step_cost.py --backbone resnet50 --batch 8
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time

VARIANTS = ("plain", "care", "two passes")
TARGETS = {"resnet50": 1.05, "vgg19": 1.10}


def make_step(variant: str, backbone: str, size: int):
    """A compiled step function on (image, labels, mask) for one variant."""
    import keras

    from care_tf import CAREModel
    from care_tf.backbones import build_classifier, get_backbone

    classifier = build_classifier(backbone, image_size=(size, size), num_classes=7, seed=0)
    layer = get_backbone(backbone).attention_layer
    loss, optimizer = keras.losses.SparseCategoricalCrossentropy(), keras.optimizers.AdamW(1e-4)
    if variant == "two passes":
        return two_pass_step(classifier, layer, loss, optimizer)
    model = classifier if variant == "plain" else CAREModel(classifier, attention_layer=layer)
    model.compile(optimizer, loss)

    def step(image, labels, mask):
        x = image if variant == "plain" else {"image": image, "mask": mask}
        model.train_on_batch(x, labels)

    return step


def two_pass_step(classifier, layer, loss, optimizer, alpha=0.5):
    """Algorithm 2 of the paper, by hand."""
    import keras
    import tensorflow as tf

    from care_tf.attention import gradcam, normalize_map
    from care_tf.keras_generation import tensorflow_variable
    from care_tf.losses import AttentionLoss

    both = keras.Model(classifier.inputs, [classifier.get_layer(layer).output, classifier.output])
    weights = classifier.trainable_variables
    attention_loss = AttentionLoss()

    @tf.function(autograph=False)
    def step(image, labels, mask):
        with tf.GradientTape(persistent=True) as tape:
            features, predictions = both(image, training=True)
            classification = (1 - alpha) * loss(labels, predictions)
        sources = [features, *map(tensorflow_variable, weights)]
        at_features, *first = tape.gradient(classification, sources)
        with tape:
            activation_map = normalize_map(gradcam(features, tf.stop_gradient(-at_features)))
            attention = alpha * attention_loss(activation_map, mask)
        second = tape.gradient(attention, sources[1:], unconnected_gradients="zero")
        optimizer.apply_gradients(zip([a + b for a, b in zip(first, second, strict=True)], weights, strict=True))
        return classification + attention

    return step


def make_batch(batch: int, size: int):
    """Random images, labels, and a box on a quarter of the images."""
    import numpy as np

    rng = np.random.default_rng(0)
    mask = np.zeros((batch, size, size, 1), np.float32)
    mask[: max(batch // 4, 1), size // 4 : size // 2, size // 4 : size // 2] = 1
    return rng.normal(size=(batch, size, size, 3)).astype(np.float32), rng.integers(0, 7, batch), mask


def peak_memory_mib(variant: str, arguments: argparse.Namespace) -> float:
    """Peak resident set of a process that runs a few steps of one variant."""
    command = [sys.executable, __file__, "--only", variant, "--backbone", arguments.backbone]
    command += ["--batch", str(arguments.batch), "--size", str(arguments.size), "--repeats", "3"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    """Prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    # First, while this process is small: a child's peak counts from its parent's size at the fork.
    memory = {} if arguments.only else {variant: peak_memory_mib(variant, arguments) for variant in VARIANTS}
    data = make_batch(arguments.batch, arguments.size)
    variants = (arguments.only,) if arguments.only else VARIANTS
    steps = {variant: make_step(variant, arguments.backbone, arguments.size) for variant in variants}
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    for repeat in range(arguments.repeats + 2):
        for variant, step in steps.items():
            start = time.perf_counter()
            step(*data)
            if repeat >= 2:  # the first calls trace and warm up
                seconds[variant].append(time.perf_counter() - start)
    if arguments.only:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    medians = {variant: statistics.median(values) for variant, values in seconds.items()}
    print(f"{arguments.backbone}, {arguments.size} px, batch {arguments.batch}, median of {arguments.repeats}")
    for variant in variants:
        ratios = sorted(a / b for a, b in zip(seconds[variant], seconds["plain"], strict=True))
        print(
            f"{variant:11} {medians[variant]:7.3f} s  ratio {medians[variant] / medians['plain']:.3f} "
            f"(pairs {ratios[0]:.3f} to {ratios[-1]:.3f})  peak {memory[variant]:6.0f} MiB  "
            f"ratio {memory[variant] / memory['plain']:.3f}"
        )
    if arguments.backbone in TARGETS:
        print(f"target for care: time <= {TARGETS[arguments.backbone]:.2f}, memory <= 1.05")


if __name__ == "__main__":
    main()
