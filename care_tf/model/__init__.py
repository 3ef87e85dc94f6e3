"""The CARE model: an unchanged classifier, trained with attention to the boxes."""

from care_tf.model.care_model import CAREModel

__all__ = ["CAREModel"]
