from . import (
    attention,
    backbones,
    boxes,
    callbacks,
    data,
    datasets,
    errors,
    evaluation,
    images,
    losses,
    metrics,
    model,
    network,
    runs,
    serving,
)
from .boxes import manifest_from_folders
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
    "errors",
    "evaluation",
    "images",
    "load_model",
    "losses",
    "manifest_from_folders",
    "metrics",
    "model",
    "network",
    "runs",
    "serving",
]
