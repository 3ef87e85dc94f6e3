"""What goes into a network, and what a data set has as x: the image alone, or a dict of it and what is beside it."""

from typing import Any


def image_of(inputs: Any) -> Any:
    """The image, or the activation in its place."""
    return inputs["image"] if isinstance(inputs, dict) else inputs


def further_of(inputs: Any) -> dict[str, Any]:
    """What is beside the image."""
    return {name: given for name, given in inputs.items() if name != "image"} if isinstance(inputs, dict) else {}
