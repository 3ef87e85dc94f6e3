"""A vision transformer of 12 blocks of width 192 (ViT-Ti/16), in plain Keras layers: a network without feature maps."""

WIDTH, HEADS, BLOCKS, PATCH = 192, 3, 12, 16


def vit_tiny(image_size: tuple[int, int], num_classes: int):
    """Images (B, H, W, 3) -> probabilities; tokens are averaged, there is no class token."""
    import keras

    layers = keras.layers
    image = keras.Input((*image_size, 3))
    height, width = image_size[0] // PATCH, image_size[1] // PATCH
    x = layers.Conv2D(WIDTH, PATCH, strides=PATCH, name="patches")(image)
    x = layers.Reshape((height * width, WIDTH), name="tokens")(x)
    for number in range(BLOCKS):
        normal = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([x, layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(normal, normal)])
        inner = layers.Dense(4 * WIDTH, activation="gelu")(layers.LayerNormalization(epsilon=1e-6)(x))
        x = layers.Add(name=f"block_{number + 1}")([x, layers.Dense(WIDTH)(inner)])
    x = layers.LayerNormalization(epsilon=1e-6, name="last_norm")(x)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(image, layers.Dense(num_classes, activation="softmax", dtype="float32")(x))
