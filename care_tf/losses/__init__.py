"""Loss functions: a pure function of arrays first, a serializable object second."""

from care_tf.losses.attention import AttentionLoss, attention_terms

__all__ = ["AttentionLoss", "attention_terms"]
