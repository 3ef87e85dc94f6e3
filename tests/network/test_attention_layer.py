"""Where attention_layer="auto" finds the map: on every family of networks the one that people would name by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from marks import one_generation

from care_tf import CAREModel
from care_tf.errors import InputError
from care_tf.keras_generation import KERAS_3
from care_tf.model.observed_classifier import ObservedClassifier
from care_tf.network import Anatomy, layers_by_path, read_last_dense, trace_classifier

SIZE = 64


def anatomy_of(network: keras.Model, attention_layer: str = "auto", size=(SIZE, SIZE), channels: int = 3) -> Anatomy:
    return ObservedClassifier(network, attention_layer).study((None, *size, channels), "float32", True)


def place(anatomy: Anatomy) -> tuple:
    return anatomy.attention_path, anatomy.attention_side, anatomy.map_size


class ClassToken(layers.Layer):
    """Tokens that are learned, in front of or behind those of the image."""

    def __init__(self, number: int, behind: bool = False):
        super().__init__()
        self.number, self.behind = number, behind

    def build(self, shape):
        self.token = self.add_weight(shape=(1, self.number, shape[-1]), initializer="random_normal", name="token")

    def call(self, tokens):
        own = tf.tile(self.token, [tf.shape(tokens)[0], 1, 1])
        return tf.concat([tokens, own] if self.behind else [own, tokens], axis=1)


class PickToken(layers.Layer):
    def __init__(self, index: int):
        super().__init__()
        self.index = index

    def call(self, tokens):
        return tokens[:, self.index]


class Take(layers.Layer):
    def call(self, tokens):
        return keras.ops.take(tokens, 0, axis=1) if KERAS_3 else tf.gather(tokens, 0, axis=1)


class Unstack(layers.Layer):
    def call(self, tokens):
        return tf.unstack(tokens, axis=1)[0]


def transformer(readout, extra=(), size=(SIZE, SIZE), blocks: int = 2) -> keras.Model:
    """A vision transformer as in the keras.io tutorial: patches, pre-norm blocks with shortcuts, a last LayerNorm."""
    image = keras.Input((*size, 3))
    grid = layers.Conv2D(16, 8, 8, name="patches")(image)
    tokens = layers.Reshape((-1, 16))(grid)
    for layer in extra:
        tokens = layer(tokens)
    for block in range(blocks):
        normed = layers.LayerNormalization(name=f"norm_{block}a")(tokens)
        tokens = layers.Add(name=f"attended_{block}")([tokens, layers.MultiHeadAttention(2, 8)(normed, normed)])
        hidden = layers.Dense(32, activation="gelu")(layers.LayerNormalization(name=f"norm_{block}b")(tokens))
        tokens = layers.Add(name=f"block_{block}")([tokens, layers.Dense(16)(hidden)])
    tokens = layers.LayerNormalization(name="last_norm")(tokens)
    return keras.Model(image, layers.Dense(3)(readout(tokens)))


def conv(image, channels: int = 8, strides: int = 4, name: str | None = None):
    return layers.Conv2D(channels, 3, strides, padding="same", activation="relu", name=name)(image)


def classify(features):
    return layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D(name="pool")(features))


def from_image(body, size=(SIZE, SIZE), channels: int = 3) -> keras.Model:
    image = keras.Input((*size, channels))
    return keras.Model(image, body(image))


def squeeze_and_excitation(image):
    features = conv(image, name="conv")
    squeezed = layers.GlobalAveragePooling2D(keepdims=True)(features)
    gate = layers.Conv2D(8, 1, activation="sigmoid")(layers.Conv2D(2, 1, activation="relu")(squeezed))
    return classify(layers.Multiply(name="gated")([features, gate]))


def cbam(image):
    features = conv(image, name="conv")
    average = layers.GlobalAveragePooling2D(keepdims=True)(features)
    features = layers.Multiply()([features, layers.Conv2D(8, 1, activation="sigmoid")(average)])
    gate = layers.Conv2D(1, 3, padding="same", activation="sigmoid", name="spatial_gate")(features)
    return classify(layers.Multiply(name="gated")([features, gate]))


def operators(image):
    """A gate and a shortcut written with operators, which are no layers."""
    features = conv(image, name="conv")
    gate = layers.Conv2D(8, 1, activation="sigmoid", name="gate")(features)
    return classify(keras.activations.relu(features * gate + features))


def u_net(image):
    down = conv(image, strides=2, name="down")
    deep = conv(down, strides=2, name="deep")
    up = layers.Concatenate()([layers.UpSampling2D()(deep), down])
    return classify(conv(up, strides=1, name="last_conv"))


def attention_without_shortcut(image):
    features = conv(image, name="last_conv")
    tokens = layers.Reshape((-1, 8))(features)
    tokens = layers.MultiHeadAttention(2, 8)(tokens, tokens)
    return layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(tokens))


def non_local(image):
    """Self-attention in the middle of a CNN, with a shortcut around it."""
    features = conv(image, name="conv")
    tokens = layers.Reshape((-1, 8))(features)
    attended = layers.MultiHeadAttention(2, 8)(tokens, tokens)
    grid = layers.Reshape((SIZE // 4, SIZE // 4, 8))(attended)
    return classify(layers.Add(name="shortcut")([features, grid]))


class Capsules(layers.Layer):
    """Predictions of 3 capsules by 8-vectors, one round of routing by agreement."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(3, shape[1], shape[2], 4), initializer="glorot_uniform", name="kernel")

    def call(self, vectors):
        votes = tf.einsum("bnd,knde->bkne", vectors, self.kernel)
        weights = tf.nn.softmax(tf.reduce_sum(votes * tf.reduce_mean(votes, 2, keepdims=True), -1), axis=1)
        return tf.sqrt(tf.reduce_sum(tf.square(tf.reduce_sum(votes * weights[..., None], 2)), -1) + 1e-7)


def capsules(image):
    primary = conv(image, 16, name="primary")
    return layers.Softmax()(Capsules()(layers.Reshape((-1, 8))(primary)))


def windowed_attention(image):
    """Attention inside windows of 2 x 2 patches, as in Swin: rolled, split into windows, put together again."""
    side, width = SIZE // 8, 16
    grid = layers.Conv2D(width, 8, 8, name="patches")(image)
    tokens = layers.Reshape((side * side, width))(grid)
    rolled = layers.Reshape((side, side, width))(layers.LayerNormalization()(tokens))
    split = layers.Reshape((side // 2, 2, side // 2, 2, width))(rolled)
    windows = layers.Reshape((side * side // 4, 4, width))(layers.Permute((1, 3, 2, 4, 5))(split))
    windows = layers.MultiHeadAttention(2, 8, attention_axes=(2,))(windows, windows)
    split = layers.Permute((1, 3, 2, 4, 5))(layers.Reshape((side // 2, side // 2, 2, 2, width))(windows))
    tokens = layers.Add(name="block")([tokens, layers.Reshape((side * side, width))(split)])
    return layers.Dense(3)(layers.GlobalAveragePooling1D()(tokens))


class SwinBlock(layers.Layer):
    """Attention inside windows of 4 x 4 cells, shifted in every second block, and an MLP; a shortcut around each."""

    def __init__(self, width: int, shift: int, **kwargs):
        super().__init__(**kwargs)
        self.shift = shift
        self.norms = [layers.LayerNormalization(), layers.LayerNormalization()]
        self.attention = layers.MultiHeadAttention(2, width // 2)
        self.hidden, self.mixed = layers.Dense(2 * width, activation="gelu"), layers.Dense(width)

    def call(self, grid):
        side, width = grid.shape[1], grid.shape[-1]
        shifted = tf.roll(self.norms[0](grid), [-self.shift] * 2, axis=[1, 2])
        split = tf.reshape(shifted, (-1, side // 4, 4, side // 4, 4, width))
        windows = tf.reshape(tf.transpose(split, (0, 1, 3, 2, 4, 5)), (-1, 16, width))
        attended = tf.reshape(self.attention(windows, windows), (-1, side // 4, side // 4, 4, 4, width))
        joined = tf.reshape(tf.transpose(attended, (0, 1, 3, 2, 4, 5)), (-1, side, side, width))
        grid += tf.roll(joined, [self.shift] * 2, axis=[1, 2])
        return grid + self.mixed(self.hidden(self.norms[1](grid)))


class PatchMerging(layers.Layer):
    """Each 2 x 2 cells side by side in one, half as wide."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.reduction = layers.LayerNormalization(), layers.Dense(width, use_bias=False)

    def call(self, grid):
        corners = [grid[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
        return self.reduction(self.norm(tf.concat(corners, -1)))


def swin(image):
    """Two stages of a Swin transformer: 16 x 16 cells, then 8 x 8 of twice the width."""
    grid = layers.Conv2D(16, 4, 4, name="patches")(image)
    for stage, width in enumerate((16, 32)):
        if stage:
            grid = PatchMerging(width)(grid)
        for shift in (0, 2):
            grid = SwinBlock(width, shift, name=f"stage_{stage}_shift_{shift}")(grid)
    return layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.LayerNormalization(name="last_norm")(grid)))


def mixer(image):
    """Tokens mixed by a Dense layer over their axis."""
    tokens = layers.Reshape((-1, 16))(layers.Conv2D(16, 8, 8)(image))
    mixed = layers.Permute((2, 1))(layers.Dense((SIZE // 8) ** 2)(layers.Permute((2, 1))(tokens)))
    tokens = layers.Add(name="block")([tokens, mixed])
    return layers.Dense(3)(layers.GlobalAveragePooling1D()(tokens))


def first(number: int) -> list:
    return [ClassToken(number)]


MEAN_OF_TOKENS = layers.GlobalAveragePooling1D
NETWORKS = {
    "transformer, mean of tokens": (lambda: transformer(MEAN_OF_TOKENS()), ("last_norm", "output", (8, 8)), 0),
    # The class token alone is read: behind the last attention the score depends on no other.
    "class token in front": (lambda: transformer(PickToken(0), first(1)), ("block_0", "output", (8, 8)), 1),
    "class token behind": (
        lambda: transformer(PickToken(-1), [ClassToken(1, behind=True)]),
        ("block_0", "output", (8, 8)),
        0,
    ),
    "class token by take": (lambda: transformer(Take(), first(1)), ("block_0", "output", (8, 8)), 1),
    "class token by unstack": (lambda: transformer(Unstack(), first(1)), ("block_0", "output", (8, 8)), 1),
    "register tokens": (
        lambda: transformer(PickToken(0), [ClassToken(1), ClassToken(4, behind=True)]),
        ("block_0", "output", (8, 8)),
        1,
    ),
    "class token in the mean": (lambda: transformer(MEAN_OF_TOKENS(), first(1)), ("last_norm", "output", (8, 8)), 1),
    "tokens of a wide image": (
        lambda: transformer(MEAN_OF_TOKENS(), size=(32, 96)),
        ("last_norm", "output", (4, 12)),
        0,
    ),
    "attention without a shortcut": (
        lambda: from_image(attention_without_shortcut),
        ("last_conv", "output", (16, 16)),
        None,
    ),
    "non-local block": (lambda: from_image(non_local), ("shortcut", "output", (16, 16)), None),
    "windowed attention": (lambda: from_image(windowed_attention), ("block", "output", (8, 8)), 0),
    "Swin": (lambda: from_image(swin), ("last_norm", "output", (8, 8)), None),
    "mixer": (lambda: from_image(mixer), ("block", "output", (8, 8)), 0),
    "squeeze and excitation": (lambda: from_image(squeeze_and_excitation), ("gated", "output", (16, 16)), None),
    "CBAM": (lambda: from_image(cbam), ("gated", "output", (16, 16)), None),
    "U-Net": (lambda: from_image(u_net), ("last_conv", "output", (32, 32)), None),
    "capsules": (lambda: from_image(capsules), ("primary", "output", (16, 16)), None),
    "grayscale": (
        lambda: from_image(lambda image: classify(conv(image, name="conv")), channels=1),
        ("conv", "output", (16, 16)),
        None,
    ),
}
# Each way in which the second generation writes a network down.
FAMILIES = (
    "transformer, mean of tokens",
    "class token by unstack",
    "non-local block",
    "Swin",
    "CBAM",
    "U-Net",
    "capsules",
)


@pytest.mark.parametrize("case", [*FAMILIES, *one_generation(*(case for case in NETWORKS if case not in FAMILIES))])
def test_auto_finds_the_last_map_on_every_path(case):
    build, expected, leading = NETWORKS[case]
    network = build()
    found = anatomy_of(network, size=network.input_shape[1:3], channels=network.input_shape[-1])
    assert place(found) == expected
    assert (None if found.grid is None else found.grid.leading) == leading


def test_auto_finds_what_is_pooled_where_operators_made_it():
    found = anatomy_of(from_image(operators))
    assert found.map_size == (16, 16)
    if KERAS_3:
        assert place(found)[:2] == ("pool", "input")


def test_the_map_at_a_class_token_equals_gradcam_of_the_network_cut_there():
    network = transformer(PickToken(0), first(1))
    images = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype("float32")
    predictions, attention = CAREModel(network).predictions_and_attention(images, class_index=tf.constant([2, 0]))

    tokens = keras.Model(network.input, network.get_layer("block_0").output)(images)
    attention_layer, hidden, output = (
        [layer for layer in network.layers if isinstance(layer, kind)][place]
        for kind, place in ((layers.MultiHeadAttention, 1), (layers.Dense, 2), (layers.Dense, 4))
    )
    projection = [layer for layer in network.layers if isinstance(layer, layers.Dense)][3]
    with tf.GradientTape() as tape:
        tape.watch(tokens)
        normed = network.get_layer("norm_1a")(tokens)
        attended = tokens + attention_layer(normed, normed)
        block = attended + projection(hidden(network.get_layer("norm_1b")(attended)))
        values = output(network.get_layer("last_norm")(block)[:, 0])
        scores = tf.gather(values, [2, 0], axis=1, batch_dims=1)
    gradients, tokens = tape.gradient(scores, tokens).numpy()[:, 1:], tokens.numpy()[:, 1:]
    expected = np.einsum("bd,bnd->bn", gradients.mean(axis=1), tokens).reshape(2, 8, 8)
    expected -= expected.min(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(predictions, values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(attention, expected / expected.max(axis=(1, 2), keepdims=True), atol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_map_taken_from_a_layers_input_equals_the_closed_form(policy):
    if not KERAS_3:
        pytest.skip("Keras 2 makes layers of operators.")
    keras.config.set_dtype_policy(policy)
    try:
        network = from_image(operators)
    finally:
        keras.config.set_dtype_policy("float32")
    images = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype("float32")
    _, attention = CAREModel(network).predictions_and_attention(images, class_index=tf.constant([2, 0]))
    pooled = keras.Model(network.input, network.get_layer("pool").input)(images).numpy().astype("float32")
    kernel = network.layers[-1].kernel.numpy()[:, [2, 0]]
    expected = np.einsum("db,bhwd->bhw", kernel, pooled)
    expected -= expected.min(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(
        attention, expected / expected.max(axis=(1, 2), keepdims=True), atol=1e-5 if policy == "float32" else 2e-2
    )


def read_twice(image):
    """Pooled by an operator first and by a layer then: only the convolution's output is watched before both."""
    features = conv(image, name="conv")
    features = layers.Activation("relu", name="last")(features)
    shifted = features + 1.0
    average = layers.Lambda(lambda x: tf.reduce_mean(x, (1, 2)), output_shape=(8,), name="average")(shifted)
    return layers.Dense(3)(layers.Concatenate()([average, layers.GlobalMaxPooling2D(name="maximum")(shifted)]))


def test_the_gradient_is_that_of_every_path_where_several_layers_read_the_map():
    network = from_image(read_twice)
    model = CAREModel(network)
    images = np.random.default_rng(0).uniform(0, 1, (2, SIZE, SIZE, 3)).astype("float32")
    _, attention = model.predictions_and_attention(images, class_index=tf.constant([2, 0]))
    features = keras.Model(network.input, network.get_layer("last").output)(images)
    with tf.GradientTape() as tape:
        tape.watch(features)
        vectors = tf.concat([tf.reduce_mean(features + 1, (1, 2)), tf.reduce_max(features + 1, (1, 2))], axis=1)
        scores = tf.gather(network.layers[-1](vectors), [2, 0], axis=1, batch_dims=1)
    gradients = tape.gradient(scores, features).numpy().mean(axis=(1, 2))
    expected = np.einsum("bd,bhwd->bhw", gradients, features.numpy())
    expected -= expected.min(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(attention, expected / expected.max(axis=(1, 2), keepdims=True), atol=1e-5)


@pytest.mark.one_generation
@pytest.mark.parametrize(
    "move",
    [
        lambda x: tf.gather(x, np.random.default_rng(0).permutation(64), axis=1),
        lambda x: x[:, ::-1],
        lambda x: tf.sort(x, axis=1),
        lambda x: tf.roll(x, 3, axis=1),
    ],
    ids=["permuted", "reversed", "sorted", "rolled"],
)
def test_tokens_whose_order_is_changed_are_no_grid_any_more(move):
    def body(image):
        tokens = layers.Reshape((-1, 16))(layers.Conv2D(16, 8, 8, name="patches")(image))
        moved = layers.LayerNormalization(name="moved")(layers.Lambda(move, output_shape=(64, 16))(tokens))
        return layers.Dense(3)(layers.GlobalAveragePooling1D()(moved))

    assert place(anatomy_of(from_image(body))) == ("patches", "output", (8, 8))


def test_a_network_over_something_else_than_images_is_read_without_a_map():
    vectors = keras.Sequential([keras.Input((10,)), layers.Dense(4, activation="relu"), layers.Dense(3, name="last")])
    assert read_last_dense(trace_classifier(vectors)).name == "last"
    with pytest.raises(InputError, match="No feature map lies on every path"):
        ObservedClassifier(vectors).study((None, 10), "float32", True)


@pytest.mark.one_generation
@pytest.mark.parametrize(
    "build",
    [lambda: transformer(PickToken(0), first(1)), lambda: from_image(swin)],
    ids=["class token", "Swin"],
)
def test_attention_moves_into_the_box_of_a_transformer(build):
    keras.utils.set_random_seed(0)
    model = CAREModel(build(), alpha=0.9)
    images = np.random.default_rng(0).uniform(0, 1, (8, SIZE, SIZE, 3)).astype("float32")
    masks = np.zeros((8, SIZE, SIZE, 1), "float32")
    masks[:, 8:32, 24:48] = 1
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit({"image": images, "mask": masks}, np.arange(8) % 3, batch_size=8, epochs=10, verbose=0)
    history = losses.history["attention_loss"]
    assert history[-1] < history[0] - 0.2


def tokens_of_unknown_place(number: int) -> keras.Model:
    """Tokens that are the input: nothing shows which of them were rows."""
    image = keras.Input((32, 32, 3))
    tokens = layers.Dense(8)(layers.Reshape((number, 3 * 1024 // number))(image))
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling1D()(tokens)))


def two_backbones(image):
    return layers.Average()([classify_unnamed(conv(image)), classify_unnamed(conv(image))])


def classify_unnamed(features):
    return layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(features))


@pytest.mark.one_generation
@pytest.mark.parametrize(
    "build, size",
    [
        (lambda: tokens_of_unknown_place(48), (32, 32)),
        (lambda: from_image(two_backbones), (SIZE, SIZE)),
        (lambda: transformer(PickToken(0), first(1), blocks=0), (SIZE, SIZE)),
    ],
    ids=["tokens without a grid", "two backbones", "a class token that reads no image"],
)
def test_what_cannot_be_decided_is_refused_with_the_candidates(build, size):
    with pytest.raises(InputError, match=r"attention_layer=.*layers whose output has spatial extent: "):
        anatomy_of(build(), size=size)


def test_the_inside_of_attention_is_refused_as_an_attention_layer_even_by_name():
    network = transformer(MEAN_OF_TOKENS())
    inside = next(path for path in layers_by_path(network) if path.endswith("/value"))
    with pytest.raises(InputError, match="rows and columns"):
        anatomy_of(network, inside)
