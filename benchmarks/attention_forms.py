"""What each form of attention supervision, finer layers and learned masks cost beside a plain Keras step.

The variants take turns in one process; printed are the median, the least and the most of the rounds' ratios. The plain
step runs twice: the distance of its second ratio from 1 is the noise. Forms that pass the masked images through
the network again cost by their share, which --masked sets.

Example: python benchmarks/attention_forms.py --batch 32 --masked 4
"""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from records import add_output, records_of, write_records
from rounds import Spread, in_turns

FINE, COARSE = "fire5_concat", "fire9_concat"  # a map at the coarse one needs no backward pass: pooling, Dense follow
VARIANTS: dict[str, dict[str, Any] | None] = {
    "plain": None,
    "plain again": None,
    "care": {"form": "care"},
    "care, distance": {"form": "care", "outside": "distance"},
    "outside": {"form": "outside"},
    "energy": {"form": "energy"},
    "l1": {"form": "l1"},
    "perturbation, random": {"form": {"name": "perturbation"}},
    "perturbation, worst": {"form": {"name": "perturbation", "kind": "worst", "strength": 0.1}},
    "perturbation, swap": {"form": {"name": "perturbation", "kind": "swap"}},
    "input gradient": {"form": "input_gradient"},
    "care, fire5": {"form": "care", "layers": [FINE]},
    "care, fire5 and fire9": {"form": "care", "layers": [FINE, COARSE]},
    "care, mask head": {"form": "care", "learns_masks": True},
}
"""Name -> the arguments of `care_model`; None is plain Keras."""
NUM_CLASSES = 7


def care_model(classifier, form, outside: str = "uniform", layers: Sequence[str] = (COARSE,), learns_masks=False):
    """A CAREModel with this form; it may learn masks, which every image without a box gets from the second step on."""
    from care_tf import CAREModel
    from care_tf.losses import get_attention_loss
    from care_tf.model import MaskHead

    head = MaskHead(range(NUM_CLASSES), warm_up_steps=1) if learns_masks else None
    loss = get_attention_loss(form, outside=outside)
    return CAREModel(classifier, attention_layer=list(layers), attention_loss=loss, mask_head=head)


def compiled_model(name: str, size: int):
    """SqueezeNet, compiled as one of `VARIANTS`."""
    import keras

    from care_tf.backbones import build_classifier

    model = build_classifier("squeezenet1_1", image_size=(size, size), num_classes=NUM_CLASSES, seed=0)
    settings = VARIANTS[name]
    if settings is not None:
        model = care_model(model, **settings)
    model.compile(keras.optimizers.AdamW(1e-4), keras.losses.SparseCategoricalCrossentropy())
    return model


def make_step(name: str, size: int) -> Callable[..., None]:
    """A compiled step function on (image, labels, mask) for one of `VARIANTS`."""
    model, is_plain = compiled_model(name, size), VARIANTS[name] is None

    def step(image, labels, mask):
        model.train_on_batch(image if is_plain else {"image": image, "mask": mask}, labels)

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
    data = (image, np.arange(arguments.batch) % NUM_CLASSES, mask)
    steps = {name: make_step(name, arguments.size) for name in VARIANTS}
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
