"""The paper's Fig. 9: total loss, and the scores on training and on validation images, over the epochs."""

import os
from typing import Any

from care_tf.evaluation.pictures import BASELINE, FAINT, INK, RUN, drawing
from care_tf.files import atomic_path

_SCORES = {
    "mean_class_accuracy": ("mean class accuracy", RUN),
    "rarest_class_recall": ("recall of the rarest class", BASELINE),
}


def write_training_figure(path: str | os.PathLike, history: Any) -> None:
    """Writes three panels as a PNG file: total loss, scores on training images, scores on validation images.

    Args:
      path: The PNG file.
      history: DataFrame, a row an epoch, with "stage", "loss" and the columns of `_SCORES`, also with "val_".
    """
    epochs = range(1, len(history) + 1)
    starts = [i for i in range(1, len(history)) if history["stage"][i] != history["stage"][i - 1]]
    with drawing(10.4, 3.0) as figure, atomic_path(path) as temporary:
        loss, training, validation = figure.subplots(1, 3)
        loss.plot(epochs, history["loss"], color=INK, linewidth=1.8)
        loss.set_title("Total loss, training")
        for axes, prefix, title in ((training, "", "Training images"), (validation, "val_", "Validation images")):
            axes.set_title(title)
            axes.set_ylim(0, 1.02)
            for name, (label, color) in _SCORES.items():
                if prefix + name in history:
                    axes.plot(epochs, history[prefix + name], color=color, linewidth=1.8, label=label)
        training.sharey(validation)
        for axes in (loss, training, validation):
            axes.set_xlabel("epoch")
            axes.set_xlim(0.5, len(history) + 0.5)
            axes.xaxis.get_major_locator().set_params(integer=True)
            for start in starts:
                axes.axvline(start + 0.5, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
        figure.legend(*training.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
        figure.savefig(temporary, format="png", dpi=150, metadata={"Software": None})
