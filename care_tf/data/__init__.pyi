from ._dataset_masks import with_masks
from .augmentation import Augmentation, augment_batch, flip_signs
from .epochs import epoch_order, num_drawn
from .image_source import image_loader
from .input_encoding import InputEncoding, encoded_inputs, fit_input_encodings
from .manifest import Manifest, manifest_from_rows, read_manifest, write_manifest
from .pipeline import epoch_indices, evaluation_dataset, steps_per_epoch, training_dataset
from .sampling import draw_epoch, epoch_class_counts, get_sampling
from .splits import stratified_group_folds, stratified_image_split

__all__ = [
    "Augmentation",
    "InputEncoding",
    "Manifest",
    "augment_batch",
    "draw_epoch",
    "encoded_inputs",
    "epoch_class_counts",
    "epoch_indices",
    "epoch_order",
    "evaluation_dataset",
    "fit_input_encodings",
    "flip_signs",
    "get_sampling",
    "image_loader",
    "manifest_from_rows",
    "num_drawn",
    "read_manifest",
    "steps_per_epoch",
    "stratified_group_folds",
    "stratified_image_split",
    "training_dataset",
    "with_masks",
    "write_manifest",
]
