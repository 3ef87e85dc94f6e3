"""The training step of the method in PyTorch, beside a plain PyTorch step: what care_tf's ratios stand beside.

ResNets in plain torch.nn. "care nested" is one backward pass of the whole loss, with the class score's gradient inside
it (`create_graph=True`); "two passes" is Algorithm 2 of the paper (Zhuang et al. 2023): one backward pass for the
classification loss, a second one for the attention loss, with the map's weights constant. Needs requirements-torch.txt
and no TensorFlow; may run in an environment of its own.

Example: python benchmarks/torch_step.py --network resnet18 --batch 8 --size 128
"""

import argparse
import json
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812, as everybody calls it
from rounds import in_turns, peaks_mib
from torch import nn

VARIANTS = ("plain", "care nested", "two passes")
# Blocks of each stage, and whether a block narrows first.
NETWORKS = {"resnet18": ((2, 2, 2, 2), False), "resnet50": ((3, 4, 6, 3), True), "resnet152": ((3, 8, 36, 3), True)}
ALPHA, LAM, TAU = 0.5, 1.0, 0.7


def convolution(before: int, after: int, size: int, stride: int = 1) -> nn.Sequential:
    """Convolution and batch normalization."""
    layer = nn.Conv2d(before, after, size, stride, size // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(after))


class Block(nn.Module):
    """A residual block: two 3 x 3 convolutions, or 1 x 1, 3 x 3, 1 x 1."""

    def __init__(self, before: int, width: int, stride: int, narrows: bool):
        super().__init__()
        after = 4 * width if narrows else width
        sizes = [(before, width, 1, 1), (width, width, 3, stride), (width, after, 1, 1)]
        if not narrows:
            sizes = [(before, width, 3, stride), (width, width, 3, 1)]
        self.convolutions = nn.ModuleList(convolution(*each) for each in sizes)
        self.shortcut = convolution(before, after, 1, stride) if stride > 1 or before != after else nn.Identity()

    def forward(self, x):
        result = x
        for layer in self.convolutions[:-1]:
            result = F.relu(layer(result))
        return F.relu(self.convolutions[-1](result) + self.shortcut(x))


class ResNet(nn.Module):
    """Images (B, 3, H, W) -> features (B, d, h, w) and logits."""

    def __init__(self, blocks: tuple[int, ...], narrows: bool, num_classes: int):
        super().__init__()
        layers, channels = [convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 64
        for stage, count in enumerate(blocks):
            for number in range(count):
                width = 64 * 2**stage
                layers.append(Block(channels, width, 2 if stage and not number else 1, narrows))
                channels = 4 * width if narrows else width
        self.features, self.head = nn.Sequential(*layers), nn.Linear(channels, num_classes)

    def forward(self, x):
        features = self.features(x)
        return features, self.head(features.mean((2, 3)))


def attention_loss(features, sigma, mask):
    """Eqs. 3 and 5-7, mean over the batch; 0 for an image without a mask."""
    raw = (sigma.mean((2, 3), keepdim=True) * features).sum(1)
    low = raw.amin((1, 2), keepdim=True)
    attention = (raw - low) / (raw - low).amax((1, 2), keepdim=True).clamp_min(1e-12)
    attention = F.interpolate(attention[:, None], mask.shape[2:], mode="bilinear", align_corners=False)
    inside = (mask * attention).sum((1, 2, 3)) / mask.sum((1, 2, 3)).clamp_min(1)
    outside = ((1 - mask) * attention).sum((1, 2, 3)) / (1 - mask).sum((1, 2, 3)).clamp_min(1)
    loss = -inside.clamp_max(TAU) + LAM * outside
    return (loss * (mask.sum((1, 2, 3)) > 0)).mean()


def make_step(variant: str, arguments: argparse.Namespace) -> Callable[[], None]:
    """One optimizer step on a kept batch."""
    torch.manual_seed(0)
    network = ResNet(*NETWORKS[arguments.network], arguments.classes).train()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    image, labels, mask = make_batch(arguments)

    def step() -> None:
        optimizer.zero_grad()
        features, logits = network(image)
        classification = F.cross_entropy(logits, labels)
        if variant == "plain":
            classification.backward()
        elif variant == "care nested":
            scores = logits.gather(1, labels[:, None]).sum()
            (sigma,) = torch.autograd.grad(scores, features, create_graph=True)
            ((1 - ALPHA) * classification + ALPHA * attention_loss(features, sigma, mask)).backward()
        else:
            features.retain_grad()
            ((1 - ALPHA) * classification).backward(retain_graph=True)
            sigma = -features.grad.detach()
            (ALPHA * attention_loss(features, sigma, mask)).backward()
        optimizer.step()

    return step


def make_batch(arguments: argparse.Namespace):
    """Random images, labels, and a box on the first images."""
    size, batch = arguments.size, arguments.batch
    mask = torch.zeros(batch, 1, size, size)
    mask[: round(arguments.masked * batch), :, size // 4 : size // 2, size // 4 : size // 2] = 1
    return torch.randn(batch, 3, size, size), torch.randint(arguments.classes, (batch,)), mask


def main() -> None:
    """Prints JSON: variant -> [wall, processor] seconds of each round's step; with --memory-of its peaks, MiB."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet18", choices=NETWORKS)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--classes", type=int, default=7)
    parser.add_argument("--masked", type=float, default=0.25)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-of", choices=VARIANTS, help="the memory of three steps of this one alone")
    arguments = parser.parse_args()
    if arguments.memory_of:
        step = make_step(arguments.memory_of, arguments)
        print(json.dumps(peaks_mib(step)))
        return
    steps = {variant: make_step(variant, arguments) for variant in VARIANTS}
    taken = in_turns(steps, arguments.rounds, warm_up=2)
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
