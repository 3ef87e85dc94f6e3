"""What joint augmentation of image and mask costs: this package's, KerasCV's and Keras 3's layers, TensorFlow's ops.

All do the same: two flips, rotation by up to 180 degrees with mirrored borders, brightness, contrast, saturation, hue,
on images that all have a mask. The variants take turns in one process inside `Dataset.map`; medians of wall time and of
processor time (the steadier one on a shared machine) are printed.

Example: python benchmarks/augmentation_choice.py --size 128 --batch 32
"""

import argparse
import math
import statistics

from records import add_output, records_of, write_records
from rounds import in_turns


def care_tf_augmentation():
    """One geometric and one color transform per image."""
    import tensorflow as tf

    from care_tf.data import Augmentation, augment_batch

    def augment(images, masks, step):
        indices = tf.range(tf.shape(images)[0], dtype=tf.int64)
        return augment_batch(images, masks, tf.stack([tf.fill(tf.shape(indices), step), indices], 1), Augmentation())

    return augment


def layers_augmentation(layers):
    """A chain of Keras layers that take a dictionary."""

    def augment(images, masks, step):
        batch = {"images": images, "segmentation_masks": masks}
        for layer in layers:
            batch = {name: value for name, value in layer(batch, training=True).items() if name in batch}
        return batch["images"], batch["segmentation_masks"]

    return augment


def keras_cv_augmentation():
    """KerasCV 0.9."""
    from keras_cv import layers

    flip = layers.RandomFlip("horizontal_and_vertical", seed=1)
    rotation = layers.RandomRotation(0.5, fill_mode="reflect", segmentation_classes=2, seed=2)
    return layers_augmentation([flip, rotation, layers.RandomColorJitter((0, 255), 0.1, 0.1, 0.1, 0.02, seed=3)])


def keras_augmentation():
    """Keras 3; the layers of Keras 2.15 do not take masks."""
    from keras import layers

    flip = layers.RandomFlip("horizontal_and_vertical", seed=1)
    rotation = layers.RandomRotation(0.5, fill_mode="reflect", seed=2)
    return layers_augmentation([flip, rotation, layers.RandomColorJitter((0, 255), 0.1, 0.1, 0.1, 0.02, seed=3)])


def tf_image_augmentation():
    """TensorFlow's stateless ops image by image, and its projective transform for the rotation it has no op for."""
    import tensorflow as tf

    def rotate(images, seed):
        angle = tf.random.stateless_uniform((), seed, -math.pi, math.pi)
        cos, sin, center = tf.cos(angle), tf.sin(angle), (images.shape[0] - 1) / 2
        row = [cos, -sin, center - center * (cos - sin), sin, cos, center - center * (cos + sin), 0.0, 0.0]
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images[None],
            transforms=[row],
            output_shape=images.shape[:2],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="REFLECT",
        )[0]

    def one(inputs):
        image, mask, seed = inputs
        both = tf.concat([image, mask], -1)
        both = tf.image.stateless_random_flip_left_right(both, seed)
        both = rotate(tf.image.stateless_random_flip_up_down(both, seed + 1), seed + 2)
        image, mask = both[..., :3] / 255, both[..., 3:]
        image = tf.image.stateless_random_brightness(image, 0.1, seed + 3)
        image = tf.image.stateless_random_contrast(image, 0.9, 1.1, seed + 4)
        image = tf.image.stateless_random_saturation(image, 0.9, 1.1, seed + 5)
        image = tf.image.stateless_random_hue(image, 0.02, seed + 6)
        return tf.clip_by_value(image * 255, 0.0, 255.0), tf.cast(mask >= 0.5, tf.float32)

    def augment(images, masks, step):
        indices = tf.range(tf.shape(images)[0], dtype=tf.int64)
        seeds = tf.stack([tf.fill(tf.shape(indices), step), indices], 1)
        signature = (tf.TensorSpec(images.shape[1:]), tf.TensorSpec(masks.shape[1:]))
        return tf.map_fn(one, (images, masks, seeds), fn_output_signature=signature)

    return augment


def main() -> None:
    """Prints one line per candidate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="height and width in px (default 128)")
    parser.add_argument("--batch", type=int, default=32, help="images per batch (default 32)")
    parser.add_argument("--batches", type=int, default=8, help="batches per round (default 8)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default 5)")
    add_output(parser)
    arguments = parser.parse_args()
    import keras
    import tensorflow as tf

    candidates = {"care_tf": care_tf_augmentation, "KerasCV": keras_cv_augmentation, "tf.image": tf_image_augmentation}
    if keras.__version__.startswith("3"):
        candidates["Keras 3"] = keras_augmentation
    images = tf.random.uniform((arguments.batch, arguments.size, arguments.size, 3), 0, 255)
    masks = tf.cast(tf.random.uniform((arguments.batch, arguments.size, arguments.size, 1)) < 0.5, tf.float32)
    datasets = {}
    for name, build in candidates.items():
        augment = build()
        steps = tf.data.Dataset.range(arguments.batches)
        datasets[name] = steps.map(lambda step, augment=augment: augment(images, masks, step), tf.data.AUTOTUNE)
    taken = in_turns(
        {name: lambda dataset=dataset: sum(1 for _ in dataset) for name, dataset in datasets.items()}, arguments.rounds
    )
    num_images = arguments.batch * arguments.batches
    case = f"{arguments.size} px, batch {arguments.batch}"
    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}, {case}")
    print(f"{'':<10}{'images/s':>10}{'images per processor second':>30}")
    for name, rounds in taken.items():
        by_wall, by_processor = (num_images / statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{name:<10}{by_wall:>10.0f}{by_processor:>30.0f}")
    processor = {name: [each.processor / num_images for each in rounds] for name, rounds in taken.items()}
    unit = "processor s an image"
    write_records(arguments.output, records_of("augmentation_choice", case, unit, processor, "tf.image"))


if __name__ == "__main__":
    main()
