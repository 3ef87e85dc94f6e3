"""The report's pictures of curves: ROC and precision-recall, reliability, insertion and deletion."""

from collections.abc import Sequence

import numpy as np

from care_tf.evaluation.bootstrap import group_bootstrap, percentile_interval
from care_tf.evaluation.calibration import NUM_BINS
from care_tf.evaluation.class_curves import GRID, ClassCurves, Curve
from care_tf.evaluation.insertion_deletion import Curves
from care_tf.evaluation.pictures import BASELINE, FAINT, INK, RUN, Picture, drawing, svg_picture, wrapped
from care_tf.extras import require_extra


def class_curves_figure(curves: ClassCurves, baseline: ClassCurves | None, names: tuple[str, str]) -> Picture:
    """A class's two curves with their intervals; a dot is where the predicted classes lie.

    Args:
      curves: Of the run.
      baseline: Of the baseline on the same images.
      names: Display names of the baseline and of the run.
    """
    runs = [(curves, RUN, names[1])] if baseline is None else [(baseline, BASELINE, names[0]), (curves, RUN, names[1])]
    share = curves.num_positive / curves.num_images
    with drawing(10.4, 4.3) as figure:
        ranking, retrieval = figure.subplots(1, 2)
        for run, color, name in runs:
            _draw(ranking, run.roc, color, name)
            _draw(retrieval, run.precision, color, name)
            if run.at_prediction:
                false, recall, precision = run.at_prediction
                for axes, x, y in ((ranking, false, recall), (retrieval, recall, precision)):
                    axes.scatter([x], [y], s=46, color=color, edgecolor=INK, linewidth=0.8, zorder=5)
        ranking.plot([0, 1], [0, 1], ":", color=FAINT)
        retrieval.axhline(share, linestyle=":", color=FAINT)
        heads = [f"{curves.name}: ROC", f"{curves.name}: precision and recall"]
        heads = [wrapped(head, 44) for head in heads]
        ranking.set(title=heads[0], xlabel="1 \u2212 specificity", ylabel="recall (sensitivity)")
        retrieval.set(title=heads[1], xlabel="recall (sensitivity)", ylabel="precision")
        for axes in (ranking, retrieval):
            axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
        _legend(figure, ranking, 110)
        alt = f"Curves of {curves.name}, {curves.num_positive} of {curves.num_images} images. " + "; ".join(
            f"{name}: recall {100 * run.roc.value[10]:.0f} % at a false positive rate of 10 %, "
            f"precision {100 * run.precision.value[50]:.0f} % at a recall of 50 %"
            for run, _, name in runs
        )
        return svg_picture(figure, alt)


def _draw(axes, curve: Curve, color: str, name: str) -> None:
    axes.fill_between(GRID, curve.low, curve.high, color=color, alpha=0.16, linewidth=0)
    axes.plot(GRID, curve.value, color=color, linewidth=1.8, label=name)


def reliability_figure(labels: np.ndarray, runs: Sequence[tuple[str, str, np.ndarray]]) -> Picture:
    """How often the predicted class is right, over how sure the network says it is; the area of a dot is its images.

    Args:
      labels: (n,) int.
      runs: Display name, color and probabilities (n, C) of each.
    """
    require_extra("The picture of reliability", "runs", "sklearn")
    from sklearn.calibration import calibration_curve

    texts = []
    with drawing(5.1, 4.4) as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], ":", color=FAINT)
        for name, color, values in runs:
            sure, is_right = values.max(axis=1), values.argmax(axis=1) == labels
            right, said = calibration_curve(is_right, sure, n_bins=NUM_BINS)
            counts = np.histogram(sure, bins=NUM_BINS, range=(0, 1))[0]
            sizes = 12 + 240 * counts[counts > 0] / len(labels)
            axes.plot(said, right, color=color, linewidth=1.4)
            axes.scatter(said, right, s=sizes, color=color, edgecolor=INK, linewidth=0.6, label=name, zorder=4)
            texts.append(f"{name}: says {100 * sure.mean():.1f} %, is right {100 * is_right.mean():.1f} %")
        axes.set(xlim=(0, 1.02), ylim=(-0.02, 1.03), xlabel="probability of the predicted class", ylabel="share right")
        _legend(figure, axes, 56)
        return svg_picture(figure, "Reliability. " + "; ".join(texts))


def insertion_deletion_figure(
    class_name: str, runs: Sequence[tuple[str, str, Curves]], groups: Sequence | np.ndarray
) -> Picture:
    """The mean probability of a class while the pixels that its map ranks first are inserted, and deleted.

    Args:
      class_name: The class.
      runs: Display name, color and curves (m, steps + 1) of each, without NaN.
      groups: (m,) patient or lesion of every image.
    """
    texts = []
    with drawing(5.1, 3.2) as figure:
        for axes, which in zip(figure.subplots(1, 2, sharey=True), Curves._fields, strict=True):
            for name, color, curves in runs:
                mean, low, high = _mean_curve(getattr(curves, which), groups)
                share = np.linspace(0.0, 1.0, len(mean))
                axes.fill_between(share, low, high, color=color, alpha=0.16, linewidth=0)
                axes.plot(share, mean, color=color, linewidth=1.8, label=name)
                texts.append(f"{which}, {name}: from {100 * mean[0]:.0f} % to {100 * mean[-1]:.0f} %")
            done = {"insertion": "inserted", "deletion": "blurred"}[which]
            axes.set(title=which.capitalize(), xlim=(0, 1), ylim=(-0.02, 1.02), xlabel=f"share of pixels {done}")
            axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
            if which == Curves._fields[0]:
                axes.set_ylabel(wrapped(f"probability of {class_name}", 30))
                _legend(figure, axes, 56)
        return svg_picture(figure, f"Insertion and deletion, {class_name}. " + "; ".join(texts))


def _mean_curve(values: np.ndarray, groups: Sequence | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean over images (m, s) with its pointwise 95 % interval over groups, (s,) each."""

    def means(weights: np.ndarray) -> dict[str, np.ndarray]:
        mean = weights @ values / weights.sum(axis=1, keepdims=True)
        return {str(step): mean[:, step] for step in range(mean.shape[1])}

    replicates = group_bootstrap(means, groups, num_resamples=200)
    low, high = np.transpose([percentile_interval(each) for each in replicates.values()])
    return values.mean(axis=0), low, high


def _legend(figure, axes, letters: int) -> None:
    """The runs' names above, side by side where a line of so many letters holds them."""
    handles, labels = axes.get_legend_handles_labels()
    columns = 2 if 2 * max(map(len, labels)) + 6 <= letters else 1
    labels = [wrapped(label, letters) for label in labels]
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, fontsize=9)
