"""Which images a batch of a stage holds: what the message names when a loss is not a number."""

import pytest

from care_tf.data.sampling import get_sampling
from care_tf.runs._shared_images import SharedImages
from care_tf.runs._stage_batches import StageBatches
from care_tf.runs._training_rows import read_training_rows

pytestmark = pytest.mark.one_generation


def sampled(rows, batch_size):
    return get_sampling("class_balanced", rows, batch_size=batch_size, num_epochs=3)


@pytest.mark.parametrize("order_of", [lambda rows, batch_size: None, sampled], ids=["permutation", "sampled"])
def test_the_images_named_are_those_of_the_batch(config, order_of):
    """33 images in batches of 16, from the second epoch on: a run that was resumed, and a last batch of one image."""
    configured = config()
    rows, images = read_training_rows(configured), SharedImages("memory")
    order = order_of(rows.train, configured.training.batch_size)
    batches = StageBatches(configured, rows, images, seed=3, augmentation=None, order=order)
    path_of = {}
    for number, (image, _) in enumerate(batches.unchanged(rows.train).unbatch().as_numpy_iterator()):
        path_of[image.tobytes()] = rows.train.image_paths[number]
    assert len(path_of) == len(rows.train) == 33  # no two images are equal
    steps = batches.steps_per_epoch
    given = list(batches.training(1).take(2 * steps).as_numpy_iterator())
    named = [batches.images_of(1 + step // steps, step % steps) for step in range(2 * steps)]
    held = [[path_of[image.tobytes()] for image in inputs["image"]] for inputs, _ in given]
    assert named == held
    assert named[0] != named[steps] and {len(paths) for paths in named} > {16}
