"""Loss functions: a pure function of arrays first, a serializable object second."""

from care_tf.losses.attention import AttentionLoss, attention_terms
from care_tf.losses.class_center import ClassCenterTripletLoss, class_center_triplet_loss
from care_tf.losses.class_weights import effective_number_weights, inverse_frequency_weights
from care_tf.losses.classification import CLASSIFICATION_LOSSES, get_classification_loss
from care_tf.losses.contrastive import ContrastiveLoss, contrastive_loss
from care_tf.losses.cost_sensitive import CostSensitiveCrossEntropy, cost_sensitive_cross_entropy
from care_tf.losses.dice import DiceLoss, dice_loss
from care_tf.losses.embedding import EMBEDDING_LOSSES, get_embedding_loss
from care_tf.losses.focal import FocalLoss, focal_loss
from care_tf.losses.ldam import LDAMLoss, ldam_loss
from care_tf.losses.logit_adjustment import LogitAdjustedLoss, logit_adjusted_loss
from care_tf.losses.n_pair import NPairLoss, n_pair_loss
from care_tf.losses.supervised_contrastive import SupervisedContrastiveLoss, supervised_contrastive_loss
from care_tf.losses.triplet import TripletLoss, triplet_loss

__all__ = [
    "CLASSIFICATION_LOSSES",
    "EMBEDDING_LOSSES",
    "AttentionLoss",
    "ClassCenterTripletLoss",
    "ContrastiveLoss",
    "CostSensitiveCrossEntropy",
    "DiceLoss",
    "FocalLoss",
    "LDAMLoss",
    "LogitAdjustedLoss",
    "NPairLoss",
    "SupervisedContrastiveLoss",
    "TripletLoss",
    "attention_terms",
    "class_center_triplet_loss",
    "contrastive_loss",
    "cost_sensitive_cross_entropy",
    "dice_loss",
    "effective_number_weights",
    "focal_loss",
    "get_classification_loss",
    "get_embedding_loss",
    "inverse_frequency_weights",
    "ldam_loss",
    "logit_adjusted_loss",
    "n_pair_loss",
    "supervised_contrastive_loss",
    "triplet_loss",
]
