"""What each form of attention supervision costs beside a plain Keras step of the same network, batch and input.

The variants take turns in one process; printed are the ratio of the medians and the quartiles of the pairs' ratios. The
plain step runs twice: the distance of its second ratio from 1 is the noise. Forms that pass the masked images through
the network again cost by their share, which --masked sets.

Example: python benchmarks/attention_forms.py --batch 32 --masked 4
"""

import argparse
import statistics
import time

FORMS: dict[str, object] = {
    "plain": None,
    "plain again": None,
    "care": "care",
    "outside": "outside",
    "energy": "energy",
    "l1": "l1",
    "perturbation, random": {"name": "perturbation"},
    "perturbation, worst": {"name": "perturbation", "kind": "worst", "strength": 0.1},
    "input gradient": "input_gradient",
}


def make_step(form, size: int):
    """A compiled step function on (image, labels, mask) for one form; None is plain Keras."""
    import keras

    from care_tf import CAREModel
    from care_tf.backbones import build_classifier
    from care_tf.losses import get_attention_loss

    model = build_classifier("squeezenet1_1", image_size=(size, size), num_classes=7, seed=0)
    if form is not None:
        model = CAREModel(model, attention_layer="fire9_concat", attention_loss=get_attention_loss(form))
    model.compile(keras.optimizers.AdamW(1e-4), keras.losses.SparseCategoricalCrossentropy())

    def step(image, labels, mask):
        model.train_on_batch(image if form is None else {"image": image, "mask": mask}, labels)

    return step


def main() -> None:
    """Prints the ratios."""
    import numpy as np

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--masked", type=int, default=4, help="Images of the batch with a box.")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    image = rng.normal(size=(arguments.batch, arguments.size, arguments.size, 3)).astype(np.float32)
    mask = np.zeros((*image.shape[:3], 1), np.float32)
    mask[: arguments.masked, 32:64, 32:64] = 1
    data = (image, np.arange(arguments.batch) % 7, mask)
    steps = {name: make_step(form, arguments.size) for name, form in FORMS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(arguments.repeats + 2):
        for name, step in steps.items():
            start = time.perf_counter()
            step(*data)
            if repeat >= 2:  # the first calls trace and warm up
                seconds[name].append(time.perf_counter() - start)
    base = seconds["plain"]
    print(
        f"SqueezeNet 1.1, {arguments.size} px, batch {arguments.batch}, {arguments.masked} with a box, "
        f"median of {arguments.repeats} in turns"
    )
    for name, values in seconds.items():
        low, _, high = statistics.quantiles([a / b for a, b in zip(values, base, strict=True)], n=4)
        ratio = statistics.median(values) / statistics.median(base)
        print(f"{name:22} {statistics.median(values):6.3f} s  ratio {ratio:.3f} [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main()
