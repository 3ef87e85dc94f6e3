"""Data sets as they are downloaded, or drawn, into manifests."""

from care_tf.datasets.isic2018 import read_isic2018
from care_tf.datasets.synthetic_lesions import SyntheticLesions

__all__ = ["SyntheticLesions", "read_isic2018"]
