from ._attention_inside import AttentionInside, attention_inside_share
from ._class_recall import ClassRecall
from ._macro_auc import MacroAUC
from ._mean_class_accuracy import MeanClassAccuracy
from ._spread import embedding_spread

__all__ = [
    "AttentionInside",
    "ClassRecall",
    "MacroAUC",
    "MeanClassAccuracy",
    "attention_inside_share",
    "embedding_spread",
]
