"""What each form of attention supervision, and finer layers, cost beside a plain Keras step of the same network.

The variants take turns in one process; printed are the median, the least and the most of the rounds' ratios. The plain
step runs twice: the distance of its second ratio from 1 is the noise. Forms that pass the masked images through
the network again cost by their share, which --masked sets.

Example: python benchmarks/attention_forms.py --batch 32 --masked 4
"""

import argparse

from records import add_output, records_of, write_records
from rounds import Spread, in_turns

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
    "care, fire5": "care",
    "care, fire5 and fire9": "care",
}
# All others at fire9_concat alone, whose map needs no backward pass: average pooling and a Dense layer follow.
LAYERS = {"care, fire5": ["fire5_concat"], "care, fire5 and fire9": ["fire5_concat", "fire9_concat"]}


def make_step(name: str, size: int):
    """A compiled step function on (image, labels, mask) for one of `FORMS`; a form of None is plain Keras."""
    import keras

    from care_tf import CAREModel
    from care_tf.backbones import build_classifier
    from care_tf.losses import get_attention_loss

    model = build_classifier("squeezenet1_1", image_size=(size, size), num_classes=7, seed=0)
    form = FORMS[name]
    if form is not None:
        layers = LAYERS.get(name, ["fire9_concat"])
        model = CAREModel(model, attention_layer=layers, attention_loss=get_attention_loss(form))
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
    add_output(parser)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    image = rng.normal(size=(arguments.batch, arguments.size, arguments.size, 3)).astype(np.float32)
    mask = np.zeros((*image.shape[:3], 1), np.float32)
    mask[: arguments.masked, 32:64, 32:64] = 1
    data = (image, np.arange(arguments.batch) % 7, mask)
    steps = {name: make_step(name, arguments.size) for name in FORMS}
    calls = {name: lambda step=step: step(*data) for name, step in steps.items()}
    taken = in_turns(calls, arguments.repeats, warm_up=2)  # the first calls trace
    seconds = {name: [each.wall for each in rounds] for name, rounds in taken.items()}
    case = f"SqueezeNet 1.1, {arguments.size} px, batch {arguments.batch}, {arguments.masked} with a box"
    records = records_of("attention_forms", case, "s a step", seconds, "plain")
    print(f"{case}, {arguments.repeats} rounds in turns")
    for each in records:
        ratio = f"  ratio {Spread(**each['ratio'])}" if "ratio" in each else ""
        print(f"{each['variant']:22} {each['median']:6.3f} s{ratio}")
    write_records(arguments.output, records)


if __name__ == "__main__":
    main()
