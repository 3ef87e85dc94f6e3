from ._attention import AttentionLoss, attention_terms
from ._attention_forms import ATTENTION_FORMS, get_attention_loss
from ._class_center import ClassCenterTripletLoss, class_center_triplet_loss
from ._contrastive import ContrastiveLoss, contrastive_loss
from ._cost_sensitive import CostSensitiveCrossEntropy, cost_sensitive_cross_entropy
from ._focal import FocalLoss, focal_loss
from ._input_gradient import InputGradient
from ._ldam import LDAMLoss, ldam_loss
from ._logit_adjustment import LogitAdjustedLoss, logit_adjusted_loss
from ._n_pair import NPairLoss, n_pair_loss
from ._outside_perturbation import OutsidePerturbation
from ._positive_attention import attention_distance, attention_energy
from ._supervised_contrastive import SupervisedContrastiveLoss, supervised_contrastive_loss
from ._triplet import TripletLoss, triplet_loss
from .class_weights import effective_number_weights, inverse_frequency_weights
from .classification import CLASSIFICATION_LOSSES, get_classification_loss
from .dice import DiceLoss, dice_loss
from .embedding import EMBEDDING_LOSSES, get_embedding_loss

__all__ = [
    "ATTENTION_FORMS",
    "CLASSIFICATION_LOSSES",
    "EMBEDDING_LOSSES",
    "AttentionLoss",
    "ClassCenterTripletLoss",
    "ContrastiveLoss",
    "CostSensitiveCrossEntropy",
    "DiceLoss",
    "FocalLoss",
    "InputGradient",
    "LDAMLoss",
    "LogitAdjustedLoss",
    "NPairLoss",
    "OutsidePerturbation",
    "SupervisedContrastiveLoss",
    "TripletLoss",
    "attention_distance",
    "attention_energy",
    "attention_terms",
    "class_center_triplet_loss",
    "contrastive_loss",
    "cost_sensitive_cross_entropy",
    "dice_loss",
    "effective_number_weights",
    "focal_loss",
    "get_attention_loss",
    "get_classification_loss",
    "get_embedding_loss",
    "inverse_frequency_weights",
    "ldam_loss",
    "logit_adjusted_loss",
    "n_pair_loss",
    "supervised_contrastive_loss",
    "triplet_loss",
]
