"""Writes embedding_fixtures.json: values and gradients of pytorch-metric-learning on drawn embeddings.

Not run by the tests, which read the file. In an environment of its own:

    pip install torch pytorch-metric-learning numpy
    python tests/losses/make_embedding_fixtures.py

What the two libraries have in common, and under which settings:

- supervised contrastive: SupConLoss as it is.
- triplet, batch_hard: BatchHardMiner, and a mean over all mined triplets (MeanReducer). Class-balanced: the same mean
  with weight n / (K n_c) for the n_c of n anchors of each of K classes.
- triplet, batch_all: TripletMarginLoss as it is, a mean over the triplets with loss.
- n-pair: NPairsLoss on given pairs, one for each class.
- contrastive: on pairs of one class only. For two classes ContrastiveLoss takes max(margin - d, 0) without the square.

Its semi-hard miners keep other triplets than "semi_hard" does, and a loss on class centers it has none.
"""

# PyTorch is imported where it is used: pytest, which looks for examples in every docstring, imports this file.
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

SEED = 20220706
LABELS = [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3]  # unequal, and one that is alone
PAIRS = [(0, 4), (5, 7), (9, 8)]  # anchor and positive of each class
MARGIN = 0.3


def hard_triplets(embeddings, labels, power, is_balanced):
    """Batch-hard triplet loss."""
    import torch
    from pytorch_metric_learning import distances, losses, miners, reducers

    distance = distances.LpDistance(normalize_embeddings=True, p=2, power=power)
    triplets = miners.BatchHardMiner(distance=distance)(embeddings, labels)
    reducer = reducers.MeanReducer()
    if is_balanced:
        counts = torch.bincount(labels[triplets[0]]).double()
        reducer = reducers.ClassWeightedReducer(len(triplets[0]) / (len(counts) * counts))
    return losses.TripletMarginLoss(MARGIN, distance=distance, reducer=reducer)(embeddings, labels, triplets)


def all_triplets(embeddings, labels):
    """Batch-all triplet loss."""
    from pytorch_metric_learning import distances, losses

    distance = distances.LpDistance(normalize_embeddings=True, p=2, power=1)
    return losses.TripletMarginLoss(MARGIN, distance=distance)(embeddings, labels)


def n_pairs(embeddings, labels):
    """N-pair loss of PAIRS."""
    import torch
    from pytorch_metric_learning import distances, losses

    anchors, positives = torch.tensor(PAIRS).T
    distance = distances.DotProductSimilarity(normalize_embeddings=False)
    return losses.NPairsLoss(distance=distance)(embeddings, labels, (anchors, positives, anchors[:0], anchors[:0]))


def contrastive_of_one_class(embeddings, labels):
    """Contrastive loss without pairs of two classes."""
    import torch
    from pytorch_metric_learning import distances, losses, reducers

    distance = distances.LpDistance(normalize_embeddings=True, p=2, power=2)
    loss = losses.ContrastiveLoss(distance=distance, reducer=reducers.MeanReducer())
    return loss(embeddings, torch.zeros_like(labels))


def supervised_contrastive(embeddings, labels, temperature):
    """Supervised contrastive loss."""
    from pytorch_metric_learning import losses

    return losses.SupConLoss(temperature)(embeddings, labels)


CASES = {
    "supervised_contrastive_0.1": lambda x, y: supervised_contrastive(x, y, 0.1),
    "supervised_contrastive_1.0": lambda x, y: supervised_contrastive(x, y, 1.0),
    "batch_hard": lambda x, y: hard_triplets(x, y, power=1, is_balanced=False),
    "batch_hard_squared": lambda x, y: hard_triplets(x, y, power=2, is_balanced=False),
    "batch_hard_class_balanced": lambda x, y: hard_triplets(x, y, power=1, is_balanced=True),
    "batch_all": all_triplets,
    "n_pairs": n_pairs,
    "contrastive_of_one_class": contrastive_of_one_class,
}


def main() -> None:
    """Writes the file beside this one."""
    import torch

    drawn = np.random.default_rng(SEED).normal(size=(len(LABELS), 4)).round(3)
    expected = {}
    for name, loss in CASES.items():
        embeddings = torch.tensor(drawn, requires_grad=True)
        value = loss(embeddings, torch.tensor(LABELS))
        value.backward()
        expected[name] = {"value": value.item(), "gradient": embeddings.grad.numpy().round(8).tolist()}
    versions = {package: version(package) for package in ("torch", "pytorch-metric-learning")}
    fixtures = {
        "made_by": Path(__file__).name,
        "versions": versions,
        "seed": SEED,
        "margin": MARGIN,
        "labels": LABELS,
        "pairs": PAIRS,
        "embeddings": drawn.tolist(),
        "expected": expected,
    }
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in fixtures.items())
    Path(__file__).with_name("embedding_fixtures.json").write_text("{\n" + lines + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
