"""From image files, labels and boxes to batches."""

from care_tf.data.augmentation import Augmentation, augment_batch
from care_tf.data.decoding import corrupt_files_refused
from care_tf.data.image_source import image_loader
from care_tf.data.isic2018 import read_isic2018
from care_tf.data.manifest import Manifest, read_manifest, write_manifest
from care_tf.data.pipeline import epoch_order, evaluation_dataset, steps_per_epoch, training_dataset
from care_tf.data.splits import stratified_group_folds, stratified_image_split
from care_tf.data.synthetic_lesions import SyntheticLesions

__all__ = [
    "Augmentation",
    "Manifest",
    "SyntheticLesions",
    "augment_batch",
    "corrupt_files_refused",
    "epoch_order",
    "evaluation_dataset",
    "image_loader",
    "read_isic2018",
    "read_manifest",
    "steps_per_epoch",
    "stratified_group_folds",
    "stratified_image_split",
    "training_dataset",
    "write_manifest",
]
