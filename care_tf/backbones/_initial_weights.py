"""Where the weights of a new classifier come from, layer by layer."""

import dataclasses
from collections.abc import Collection, Sequence

from care_tf.backbones._stored_layers import runs_of


@dataclasses.dataclass(frozen=True)
class InitialWeights:
    """What a classifier starts from; as text, a line for people.

    Attributes:
      source: "imagenet", a file, or a builder of the user's own; "" for random weights.
      layers: Names of its layers that own weights, in order.
      loaded: Those of them that the source filled.
    """

    source: str
    layers: Sequence[str]
    loaded: Collection[str]

    def __str__(self) -> str:
        if not self.loaded:
            return "Initial weights: random."
        random = runs_of(self.layers, [name for name in self.layers if name not in self.loaded])
        rest = f"; random: {random}" if random else ""
        return f"Initial weights: {self.source} for {runs_of(self.layers, self.loaded)}{rest}."
