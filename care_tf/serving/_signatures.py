"""The five functions of an exported model, in TensorFlow operations only."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from care_tf.data.input_encoding import InputEncoding
from care_tf.empty_batch import call_with_an_image
from care_tf.images.decoding import decode_image
from care_tf.images.resizing import map_of_image, resize_images
from care_tf.keras_generation import tensorflow_variable
from care_tf.network.inputs import call_classifier, further_inputs
from care_tf.serving._attention_box import attention_box
from care_tf.serving._description import ModelDescription
from care_tf.serving._portable_resize import portable_resize
from care_tf.serving._request_checks import finite_images, small_jpeg_or_png

if TYPE_CHECKING:
    from care_tf.model import CAREModel

Outputs = dict[str, tf.Tensor]


class ServedClassifier(tf.Module):
    """A classifier with its preprocessing and class names inside.

    It keeps the classifier's variables, and its Keras objects only while the functions are traced: what is saved
    holds variables and graphs.

    Args:
      care_model: The trained `CAREModel`.
      preprocess: float32 RGB 0..255 (B,H,W,3) -> what the classifier takes; TensorFlow operations.
      description: How it takes images. Every signature takes each further input by its name: encoded ones as
        `InputEncoding.encode` does; others, and all of `portable`'s, as the classifier does.
    """

    def __init__(
        self,
        care_model: "CAREModel",
        preprocess: Callable[[tf.Tensor], tf.Tensor],
        description: ModelDescription,
    ) -> None:
        super().__init__(name="served_classifier")
        self.classifier_variables = [tensorflow_variable(variable) for variable in care_model.classifier.variables]
        # Functions, because a tf.Module would track a model kept as an attribute, and save all that Keras adds to it.
        # Only the user's preprocessing may need AutoGraph, as it has it in `Dataset.map`.
        plain = tf.autograph.experimental.do_not_convert
        self._preprocess = functools.partial(preprocess)
        further: dict[str, tf.Tensor] = {}  # of the signature that is being traced

        def beside(images: tf.Tensor) -> Any:
            return {"image": images, **further} if further else images

        def predict(inputs: Any) -> tf.Tensor:
            return call_classifier(care_model.classifier, inputs, training=False)

        def attend(images: tf.Tensor, index: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
            given = (beside(images),) if index is None else (beside(images), index)
            return call_with_an_image(lambda given: care_model.predictions_and_attention(*given), given)

        self._predict = plain(lambda images: call_with_an_image(predict, beside(images)))
        # Runtimes of other processors want shapes that do not depend on values.
        self._predict_portably = plain(lambda images: predict(beside(images)))
        self._attend = plain(attend)
        self._probabilities = plain(care_model.class_probabilities)
        height, width = description.image_size
        self._image_size = (height, width)
        self._class_names = tuple(description.class_names)
        self._max_pixel_value = description.max_pixel_value
        self._resize_choice = description.resize
        self._decision = description.decision
        if specs := further_inputs(care_model.classifier):
            self._add_arguments(specs, {encoding.name: encoding for encoding in description.inputs}, further)

    def _add_arguments(
        self, specs: dict[str, tf.TensorSpec], encodings: dict[str, InputEncoding], further: dict[str, tf.Tensor]
    ) -> None:
        """Gives every signature an argument for each further input, which it leaves encoded in `further`."""
        named = {name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in specs.items()}

        def with_arguments(function: Any, known: dict[str, InputEncoding]) -> Any:
            def signature(*own_and_given: Any) -> Outputs:
                *own, given = own_and_given
                further.update(
                    {name: known[name].encode(value) if name in known else value for name, value in given.items()}
                )
                return function.python_function(*own)

            arguments = named | {name: encoding.spec for name, encoding in known.items()}
            return tf.function(signature, input_signature=[*function.input_signature, arguments])

        for name, member in vars(type(self)).items():
            if isinstance(member, tf.types.experimental.GenericFunction):
                setattr(self, name, with_arguments(getattr(self, name), {} if name == "portable" else encodings))

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32, name="images")])
    def serve_images(self, images: tf.Tensor) -> Outputs:
        """Images of any size -> classes.

        Args:
          images: (B,h,w,3) float32 RGB, 0..255; resized in the graph when their size is not the classifier's.

        Returns:
          `probabilities` (B,C) float32, `top_class` (B,) string, `class_names` (B,C) string. With a decision also
          `calibrated` (B,C) float32 probabilities, and `called` (B,C) bool, where they reach the classes' thresholds.
        """
        return self._classes(self._predict(self._prepare(images)))

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32, name="images")])
    def portable(self, images: tf.Tensor) -> Outputs:
        """`serve_images` in operations that TFLite and ONNX have, too."""
        resized = portable_resize(images, self._image_size, self._resize_choice)
        return self._classes(self._predict_portably(self._preprocess(resized)))

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")])
    def serve_bytes(self, image_bytes: tf.Tensor) -> Outputs:
        """Encoded images -> classes.

        Args:
          image_bytes: (B,) string, each the contents of a JPEG or PNG file; EXIF orientation is honored. Another, a
            corrupt or a huge one fails the request, which names its place in the batch.

        Returns:
          As `serve_images`.
        """
        reading = self._image_size, self._max_pixel_value, self._resize_choice

        def decoded(numbered: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            number, contents = numbered
            name = tf.strings.join(["image ", tf.strings.as_string(number)])
            return decode_image(small_jpeg_or_png(contents, name), *reading, name)[0]

        images = tf.map_fn(
            decoded,
            (tf.range(tf.size(image_bytes)), image_bytes),
            fn_output_signature=tf.TensorSpec((*self._image_size, 3), tf.float32),
        )
        return self._classes(self._predict(self._prepare(images)))

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32, name="images")])
    def explain(self, images: tf.Tensor) -> Outputs:
        """Images of any size -> classes, and where the predicted class was seen.

        Args:
          images: As in `serve_images`.

        Returns:
          The outputs of `serve_images`, `attention_map` (B,H,W) float32 in [0, 1] over the whole image, at the size
          the classifier works at, and `box` (B,4) float32, half-open x0,y0,x1,y1 px of the images as they were sent.
        """
        return self._explained(images, None)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, None, 3), tf.float32, name="images"),
            tf.TensorSpec((None,), tf.int32, name="class_index"),
        ]
    )
    def explain_class(self, images: tf.Tensor, class_index: tf.Tensor) -> Outputs:
        """`explain` for a class of the client's choice.

        Args:
          images: As in `serve_images`.
          class_index: (B,) int32, which class's map each image gets, counted in the order of `class_names`.

        Returns:
          As `explain`; an index of no class fails the request.
        """
        num_classes = len(self._class_names)
        is_class = (class_index >= 0) & (class_index < num_classes)
        message = f"class_index must lie in [0, {num_classes}). Received"
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(is_class), [message, class_index])]):
            class_index = tf.identity(class_index)
        return self._explained(images, class_index)

    def _explained(self, images: tf.Tensor, class_index: tf.Tensor | None) -> Outputs:
        predictions, attention = self._attend(self._prepare(images), class_index)
        given_size = tf.shape(images)[1:3]
        resized = map_of_image(attention, given_size, self._image_size, self._resize_choice, self._image_size)
        resized = tf.ensure_shape(resized, (None, *self._image_size))
        scale_xy = tf.shape(images)[2:0:-1] / tf.constant(self._image_size[::-1])
        box = attention_box(resized) * tf.cast(tf.tile(scale_xy, (2,)), tf.float32)
        return {**self._classes(predictions), "attention_map": resized, "box": box}

    def _prepare(self, images: tf.Tensor) -> tf.Tensor:
        return self._preprocess(_resize(finite_images(images), self._image_size, self._resize_choice))

    def _classes(self, predictions: tf.Tensor) -> Outputs:
        probabilities = self._probabilities(predictions)
        names = tf.constant(self._class_names)
        top_class = tf.gather(names, tf.argmax(probabilities, axis=-1))
        # Once per image: a server that joins requests to a batch splits every output along its first axis.
        class_names = tf.tile(names[tf.newaxis], (tf.shape(probabilities)[0], 1))
        outputs = {"probabilities": probabilities, "top_class": top_class, "class_names": class_names}
        if self._decision is not None:
            logits = tf.math.log(tf.maximum(probabilities, np.finfo(np.float32).tiny))
            outputs["calibrated"] = tf.nn.softmax(logits / self._decision.temperature)
            outputs["called"] = outputs["calibrated"] >= tf.constant(self._decision.limits, tf.float32)
        return outputs


def _resize(images: tf.Tensor, image_size: tuple[int, int], resize: str) -> tf.Tensor:
    """The data pipeline's resize; images that have the size pass untouched."""
    has_size = tf.reduce_all(tf.equal(tf.shape(images)[1:3], image_size))
    resized = tf.cond(has_size, lambda: images, lambda: resize_images(images, image_size, resize))
    return tf.ensure_shape(resized, (None, *image_size, 3))
