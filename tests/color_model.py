"""A model that is a rule on colors: predictions known without a network."""

import numpy as np
import tensorflow as tf

from care_tf.serving._description import ModelDescription
from care_tf.serving._predictor import Predictor

CLASSES = ("red", "green", "blue")
SIZE = (8, 12)


class ColorModel(Predictor):
    """Each class's probability is the share of its color; attention is a box in the upper left quarter.

    That of a class of the caller's choice is in the lower right one.
    """

    def __init__(self, sha256="abc", **description):
        self.batch_sizes = []
        described = ModelDescription(CLASSES, SIZE, **description)
        super().__init__(described, self.classify, self.explain_, sha256, self.explain_class)

    def classify(self, images, cells):
        self.batch_sizes.append(len(images))
        sums = tf.reduce_sum(images, axis=(1, 2)) + 1e-3
        return {"probabilities": sums / tf.reduce_sum(sums, axis=1, keepdims=True)}

    def explain_(self, images, cells):
        maps = np.zeros((len(images), *SIZE), np.float32)
        maps[:, : SIZE[0] // 2, : SIZE[1] // 2] = 1
        boxes = np.tile(np.array([0, 0, SIZE[1] / 2, SIZE[0] / 2], np.float32), (len(images), 1))
        return {**self.classify(images, cells), "attention_map": tf.constant(maps), "box": tf.constant(boxes)}

    def explain_class(self, images, cells, index):
        maps = self.explain_(images, cells)["attention_map"][:, ::-1, ::-1]
        boxes = np.tile(np.array([SIZE[1] / 2, SIZE[0] / 2, SIZE[1], SIZE[0]], np.float32), (len(images), 1))
        return {**self.classify(images, cells), "attention_map": maps, "box": tf.constant(boxes)}
