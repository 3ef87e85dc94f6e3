"""Keras metrics: scalars that `ModelCheckpoint` and `EarlyStopping` can monitor."""

from care_tf.metrics.attention_inside import AttentionInside, attention_inside_share
from care_tf.metrics.class_recall import ClassRecall
from care_tf.metrics.embedding_spread import embedding_spread
from care_tf.metrics.macro_auc import MacroAUC
from care_tf.metrics.mean_class_accuracy import MeanClassAccuracy

__all__ = [
    "AttentionInside",
    "ClassRecall",
    "MacroAUC",
    "MeanClassAccuracy",
    "attention_inside_share",
    "embedding_spread",
]
