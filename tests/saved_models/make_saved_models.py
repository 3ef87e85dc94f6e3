"""Writes keras<generation>.keras and .json: a compiled CAREModel, trained a little, and what it computes.

The files here were written by the code before its modules moved: they show that a saved model still loads. Writing them
again with today's code would show nothing.

    python tests/saved_models/make_saved_models.py FOLDER
"""

import json
import sys
from pathlib import Path


def main(folder: Path) -> None:
    import keras
    import numpy as np

    import care_tf
    from care_tf import losses, metrics

    keras.utils.set_random_seed(1)
    image = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = care_tf.CAREModel(
        keras.Model(image, keras.layers.Dense(3, activation="softmax", name="scores")(x)),
        alpha=0.25,
        attention_loss=losses.AttentionLoss(tau=0.6, lam=0.5, reduction="masked"),
        cam="layercam",
        embedding_loss=losses.TripletLoss(mining="semi_hard"),
        embedding_weight=0.5,
    )
    scores = [metrics.MeanClassAccuracy(), metrics.ClassRecall(2), metrics.MacroAUC(3)]
    model.compile("adam", loss=losses.FocalLoss(gamma=1.5, class_weights=[1.0, 2.0, 3.0]), metrics=scores)
    images, labels = np.random.default_rng(0).random((8, 12, 12, 3)).astype("float32"), np.arange(8) % 3
    mask = np.zeros((8, 12, 12, 1), "float32")
    mask[:4, 2:8, 3:9] = 1
    model.fit({"image": images, "mask": mask}, labels, epochs=1, batch_size=4, verbose=0, shuffle=False)
    name = f"keras{keras.__version__[0]}"
    model.save(folder / f"{name}.keras")
    computed = {"predictions": model.predict(images, verbose=0), "map": model.attention_map(images, labels)}
    (folder / f"{name}.json").write_text(json.dumps({key: value.tolist() for key, value in computed.items()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
