"""The points at which steps are compared: a network, a batch, a way to run it. Needs the standard library only."""

import argparse
import dataclasses
from collections.abc import Sequence

EFFICIENTNET, MOBILENET = "keras.applications/EfficientNetB0", "keras.applications/MobileNetV2"
VIT = "vision_transformer:vit_tiny"
STEPS = ("plain", "care", "care nested", "two passes")
MAPS = tuple(f"care {cam}" for cam in ("gradcam++", "hirescam", "layercam", "xgradcam"))
MODES, PRECISIONS = ("graph", "eager", "xla"), ("float32", "mixed_float16", "mixed_bfloat16")
TORCH_NETWORKS, TORCH_STEPS = ("resnet18", "resnet50", "resnet152"), ("plain", "care nested", "two passes")


@dataclasses.dataclass(frozen=True)
class Point:
    """What is trained, and which steps are compared at it.

    Attributes:
      network: A backbone's name.
      size: Height and width, px.
      batch: Images a step.
      masked: Share of them with a mask.
      classes: Number of classes.
      mode: One of `MODES`.
      precision: One of `PRECISIONS`.
      variants: Steps to compare; the first is the base.
    """

    network: str = "resnet18"
    size: int = 128
    batch: int = 8
    masked: float = 0.25
    classes: int = 7
    mode: str = "graph"
    precision: str = "float32"
    variants: tuple[str, ...] = STEPS

    def __str__(self) -> str:
        network = self.network.rpartition("/")[2].rpartition(":")[2]
        return (
            f"{network}, {self.size} px, batch {self.batch}, {self.masked:.0%} masked, {self.classes} classes, "
            f"{self.mode}, {self.precision}"
        )


AXES = tuple(field.name for field in dataclasses.fields(Point) if field.name != "variants")


def quick_points() -> list[Point]:
    """A small network at 128 px and one axis at a time; at 64 px what would take too long: ResNet152, mixed_float16."""
    base = Point()
    return [
        dataclasses.replace(base, variants=STEPS + MAPS),
        *along(base, "network", ("resnet50", "vgg19", MOBILENET, "squeezenet1_1", EFFICIENTNET, VIT)),
        *along(dataclasses.replace(base, size=64), "network", ("resnet152",)),
        *along(base, "batch", (1, 32)),
        *along(base, "size", (64, 224)),
        *along(base, "masked", (0.0, 1.0)),
        *along(base, "classes", (2, 100)),
        *along(base, "mode", ("eager", "xla")),
        *along(base, "precision", ("mixed_bfloat16",)),
        *along(dataclasses.replace(base, size=64), "precision", ("mixed_float16",)),
    ]


def full_points() -> list[Point]:
    """ResNet50 at 224 px, the paper's setting, and one axis at a time, with more values."""
    base = Point("resnet50", 224)
    networks = ("resnet18", "resnet152", "vgg19", MOBILENET, "squeezenet1_1", EFFICIENTNET, VIT)
    return [
        dataclasses.replace(base, variants=STEPS + MAPS),
        *along(base, "network", networks),
        *along(base, "batch", (1, 4, 16, 32)),
        *along(base, "size", (64, 128, 320)),
        *along(base, "masked", (0.0, 0.5, 1.0)),
        *along(base, "classes", (2, 100, 1000)),
        *along(base, "mode", ("eager", "xla")),
        *along(base, "precision", PRECISIONS[1:]),
    ]


def along(base: Point, axis: str, values: Sequence) -> list[Point]:
    """The base with other values of one attribute."""
    return [dataclasses.replace(base, **{axis: value}) for value in values]


def torch_points(points: Sequence[Point]) -> list[Point]:
    """Those at which PyTorch's steps stand beside: the first point, and its batch through other ResNets."""
    first = dataclasses.replace(points[0], variants=STEPS)
    at_first = [each for each in points if dataclasses.replace(each, network=first.network, variants=STEPS) == first]
    written = [each for each in at_first if (each.mode, each.precision) == ("graph", "float32")]
    return [each for each in written if each.network in TORCH_NETWORKS]


def add_points(parser: argparse.ArgumentParser) -> None:
    """--quick or --full, else one point by its axes."""
    lists = parser.add_mutually_exclusive_group()
    lists.add_argument("--quick", action="store_const", dest="points", const=quick_points, help="a small network's")
    lists.add_argument("--full", action="store_const", dest="points", const=full_points, help="ResNet50's; hours")
    base = Point()
    parser.add_argument("--network", default=base.network)
    parser.add_argument("--size", type=int, default=base.size)
    parser.add_argument("--batch", type=int, default=base.batch)
    parser.add_argument("--masked", type=float, default=base.masked, help="share of images with a mask")
    parser.add_argument("--classes", type=int, default=base.classes)
    parser.add_argument("--mode", choices=MODES, default=base.mode)
    parser.add_argument("--precision", choices=PRECISIONS, default=base.precision)


def points_of(arguments: argparse.Namespace) -> list[Point]:
    """What `add_points` was given.

    Raises:
      SystemExit: A list and an axis: the list has its own.
    """
    chosen = {name: getattr(arguments, name) for name in AXES}
    if not arguments.points:
        return [Point(**chosen)]
    others = [name for name, value in chosen.items() if value != getattr(Point(), name)]
    if others:
        raise SystemExit(f"--quick and --full have points of their own. Received --{', --'.join(others)} as well.")
    return arguments.points()
