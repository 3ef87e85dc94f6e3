"""Random geometric layers inside a classifier would move the image away from its mask."""

import keras

from care_tf.errors import InputError
from care_tf.network.observation import walk_layers

RANDOM_GEOMETRY = frozenset(
    {
        "AugMix", "CutMix", "FourierMix", "GridMask", "JitteredResize", "MixUp", "Mosaic", "RandAugment",
        "RandomAffine", "RandomAspectRatio", "RandomChoice", "RandomCrop", "RandomCropAndResize",
        "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomHeight", "RandomPerspective", "RandomRotation",
        "RandomShear", "RandomTranslation", "RandomWidth", "RandomZoom", "RandomZoomAndCrop",
    }
)  # fmt: skip


def refuse_random_geometry(classifier: keras.Model) -> None:
    """Checks that no layer of the classifier moves or mixes images at random.

    Args:
      classifier: The network about to be trained with masks.

    Raises:
      InputError: One does; masks in x would no longer fit the image that the network sees.
    """
    for path, layer in walk_layers(classifier):
        names = {parent.__name__ for parent in type(layer).__mro__}
        if names & RANDOM_GEOMETRY:
            raise InputError(
                f"The classifier's layer {path!r} ({type(layer).__name__}) moves the image at random, so a mask would "
                "no longer lie on its lesion. Take the layer out of the classifier and augment images and masks "
                "together in the dataset (care_tf.data.training_dataset with an Augmentation)."
            )
