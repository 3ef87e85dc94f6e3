from .anatomy import Anatomy, read_anatomy, read_last_dense
from .attention_place import AttentionPlace
from .cutting import cut_network
from .decoupled_classifier import choose_tau, nearest_class_mean, tau_normalized
from .freezing import Freezer
from .last_dense import embedding_model, reinitialized
from .observation import layers_by_path, observing, walk_layers
from .trace import NetworkTrace, trace_classifier

__all__ = [
    "Anatomy",
    "AttentionPlace",
    "Freezer",
    "NetworkTrace",
    "choose_tau",
    "cut_network",
    "embedding_model",
    "layers_by_path",
    "nearest_class_mean",
    "observing",
    "read_anatomy",
    "read_last_dense",
    "reinitialized",
    "tau_normalized",
    "trace_classifier",
    "walk_layers",
]
