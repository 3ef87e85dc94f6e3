"""What an imbalance strategy adds to a training step of CARE with plain cross entropy, same network, batch and input.

The variants take turns in one process; printed are the median, the least and the most of the rounds' ratios. The first
variant runs twice: what its second ratio is off 1 is the noise.

Example: python benchmarks/strategy_cost.py --batch 96
"""

import argparse

from records import add_output, records_of, write_records
from rounds import Spread, in_turns, spread

COUNTS = (668, 1500, 308, 196, 660, 69, 86)
# Settings of a stage beside cross entropy, and the most each may add.
STRATEGIES: dict[str, tuple[dict, float]] = {
    "cross entropy": ({}, 1.0),
    "cross entropy again": ({}, 1.0),
    "CSL": ({"class_weight": "balanced"}, 1.03),
    "focal": ({"loss": "focal"}, 1.03),
    "LDAM": ({"loss": "ldam"}, 1.03),
    "balanced softmax": ({"loss": "balanced_softmax"}, 1.03),
    "class-balanced L_a": ({"reduction": "class_balanced"}, 1.03),
    "contrastive": ({"embedding_loss": "contrastive"}, 1.10),
    "triplet": ({"embedding_loss": "triplet"}, 1.10),
    "class center": ({"embedding_loss": "class_center"}, 1.10),
    "N-pair": ({"embedding_loss": "n_pair"}, 1.10),
    "supervised contrastive": ({"embedding_loss": "supervised_contrastive"}, 1.10),
}


def make_step(settings: dict, size: int):
    """A compiled step function on (image, labels, mask) for one strategy."""
    import keras

    from care_tf import CAREModel
    from care_tf.backbones import build_classifier
    from care_tf.losses import AttentionLoss, get_classification_loss, get_embedding_loss
    from care_tf.losses.class_weights import class_weights

    names = [str(number) for number in range(len(COUNTS))]
    embedding_loss = settings.get("embedding_loss")
    model = CAREModel(
        build_classifier("squeezenet1_1", image_size=(size, size), num_classes=len(COUNTS), seed=0),
        attention_layer="fire9_concat",
        attention_loss=AttentionLoss(reduction=settings.get("reduction", "batch")),
        embedding_loss=None if embedding_loss is None else get_embedding_loss(embedding_loss),
    )
    weights = class_weights(settings.get("class_weight"), COUNTS, names)
    loss = get_classification_loss(settings.get("loss", "cross_entropy"), COUNTS, weights)
    model.compile(keras.optimizers.AdamW(1e-4), loss)
    return lambda image, labels, mask: model.train_on_batch({"image": image, "mask": mask}, labels)


def main() -> None:
    """Prints the ratios."""
    import numpy as np

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=15)
    add_output(parser)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    image = rng.normal(size=(arguments.batch, arguments.size, arguments.size, 3)).astype(np.float32)
    mask = np.zeros((*image.shape[:3], 1), np.float32)
    mask[::8, 32:64, 32:64] = 1
    data = (image, np.arange(arguments.batch) % len(COUNTS), mask)
    steps = {name: make_step(settings, arguments.size) for name, (settings, _) in STRATEGIES.items()}
    calls = {name: lambda step=step: step(*data) for name, step in steps.items()}
    taken = in_turns(calls, arguments.repeats, warm_up=2)  # the first calls trace
    seconds = {name: [each.wall for each in rounds] for name, rounds in taken.items()}
    case = f"SqueezeNet 1.1, {arguments.size} px, batch {arguments.batch}"
    records = records_of("strategy_cost", case, "s a step", seconds, "cross entropy")
    print(f"{case}, {arguments.repeats} rounds in turns")
    for each in records:
        settings, most = STRATEGIES[each["variant"]]
        target = f"target <= {most:.2f}" if settings else ""
        ratio = Spread(**each["ratio"]) if "ratio" in each else spread([1.0])
        print(f"{each['variant']:24} {each['median']:6.3f} s  ratio {ratio}  {target}")
    write_records(arguments.output, records)


if __name__ == "__main__":
    main()
