from . import (
    attention,
    backbones,
    boxes,
    callbacks,
    data,
    datasets,
    evaluation,
    images,
    losses,
    metrics,
    model,
    network,
    runs,
    serving,
)
from .model import CAREModel, load_model
from .version import __version__

__all__ = [
    "CAREModel",
    "__version__",
    "attention",
    "backbones",
    "boxes",
    "callbacks",
    "data",
    "datasets",
    "evaluation",
    "images",
    "load_model",
    "losses",
    "metrics",
    "model",
    "network",
    "runs",
    "serving",
]
