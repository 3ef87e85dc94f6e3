from .attention_inside import AttentionInside, attention_inside_share
from .class_recall import ClassRecall
from .macro_auc import MacroAUC
from .mean_class_accuracy import MeanClassAccuracy
from .spread import embedding_spread

__all__ = [
    "AttentionInside",
    "ClassRecall",
    "MacroAUC",
    "MeanClassAccuracy",
    "attention_inside_share",
    "embedding_spread",
]
