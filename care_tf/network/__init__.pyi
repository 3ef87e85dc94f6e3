from .anatomy import Anatomy, study_classifier
from .cutting import cut_network
from .decoupled_classifier import choose_tau, nearest_class_mean, tau_normalized
from .freezing import freeze_through, unfreeze
from .last_dense import embedding_model, reinitialized
from .observation import layers_by_path, observing, walk_layers

__all__ = [
    "Anatomy",
    "choose_tau",
    "cut_network",
    "embedding_model",
    "freeze_through",
    "layers_by_path",
    "nearest_class_mean",
    "observing",
    "reinitialized",
    "study_classifier",
    "tau_normalized",
    "unfreeze",
    "walk_layers",
]
