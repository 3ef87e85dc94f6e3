import itertools

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from PIL import Image

from care_tf.errors import InputError
from care_tf.evaluation._comparison_cells import CellPredictions, MethodSpec
from care_tf.evaluation._comparison_plot import _drawn, write_comparison_plot
from care_tf.evaluation._method_comparison import compare_methods, focus_figures
from care_tf.evaluation.pictures import BASELINE, FAINT, INK, RUN

NAMES = ["NV", "DF"]
PAIR = [MethodSpec("care", "CARE", "ce"), MethodSpec("ce", "Cross entropy")]


def _comparison(methods=PAIR, finished=None, gain=4.0, names=NAMES, has_boxes=True):
    """Two folds; a method with a baseline is better by `gain` on the second class's logit."""
    cells = []
    for method, fold in itertools.product(methods, "01"):
        if finished is None or (method.name, fold) in finished:
            rng = np.random.default_rng([ord(fold), *map(ord, method.name)])
            labels = np.arange(60) % 2
            logit = rng.normal(size=60) + (1 + gain * (method.baseline is not None)) * (labels - 0.5)
            positive = 1 / (1 + np.exp(-logit))
            share = np.where(labels == 1, rng.uniform(size=60), np.nan) if has_boxes else None
            images = tuple(f"{fold}{i}" for i in range(60))
            probabilities = np.stack([1 - positive, positive], axis=1)
            cells.append(CellPredictions(method.name, fold, 0, images, labels, probabilities, None, share))
    return compare_methods(methods, cells, names, num_resamples=20)


def comparison_figure(comparison, focus_classes):
    with _drawn(comparison, focus_classes) as figure:
        figure.draw_without_rendering()  # ticks take the style when they are first drawn
        return figure


def _means(axes):
    """Row -> (value, color of the edge, whether it is filled), of the dots with an interval."""
    found = {}
    for dots in axes.collections:
        if dots.get_zorder() == 4:
            ((value, row),) = dots.get_offsets()
            edge, face = to_hex(dots.get_edgecolor()[0]).upper(), to_hex(dots.get_facecolor()[0]).upper()
            found[round(float(row), 2)] = (float(value), edge, face == edge)
    return found


def _texts(figure):
    return {text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()}


def _visible_boxes(figure):
    """Text and its rectangle in pixels, of everything that is drawn: matplotlib keeps ticks beyond an axis too."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    hidden = set()
    for axes in figure.axes:
        low, high = axes.get_xlim()
        hidden |= {tick.label1 for tick in axes.xaxis.get_major_ticks() if not low <= tick.get_loc() <= high}
    texts = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip() and text not in hidden]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in texts if text.get_visible()]


# oracle


def test_dots_stand_at_the_means_and_baselines_come_first():
    comparison = _comparison()
    figure = comparison_figure(comparison, ["DF"])
    titles = focus_figures(comparison, ["DF"])
    above, below = figure.axes[: len(titles)], figure.axes[len(titles) :]
    assert [axes.get_title(loc="left").replace("\n", " ") for axes in above] == list(titles.values())
    for name, axes, other in zip(titles, above, below, strict=True):
        if name == "recall_at_equal_calls/DF":  # a difference alone
            assert not axes.axison and other.axison
            continue
        care, ce = (comparison.method(key).figures[name].mean.value for key in ("care", "ce"))
        assert _means(axes) == {0: (ce, INK, True), 0.73: (ce, FAINT, True), 1: (care, RUN, True)}
        assert _means(other)[0][0] == comparison.method("care").differences[name].mean.value
    assert {"CARE", "Cross entropy", "minus Cross entropy"} <= _texts(figure)


@pytest.mark.parametrize(("gain", "color", "is_filled"), [(6, RUN, True), (-6, BASELINE, True), (0, FAINT, False)])
def test_differences_have_a_color_where_the_interval_excludes_zero(gain, color, is_filled):
    comparison = _comparison(gain=gain)
    assert comparison.method("care").differences["macro_auc"].mean.excludes_zero == is_filled
    assert _means(comparison_figure(comparison, []).axes[3])[0][1:] == (color, is_filled)


def test_single_models_are_ticks():
    comparison = _comparison()
    axes = comparison_figure(comparison, []).axes[1]
    ticks = [collection.get_offsets() for collection in axes.collections if len(collection.get_offsets()) == 2]
    expected = [list(comparison.method(key).figures["macro_auc"].by_cell.values()) for key in ("ce", "care")]
    assert [[float(value) for value, _ in offsets] for offsets in ticks] == expected


# properties


def test_no_text_overlaps_with_sixteen_methods():
    bases = [MethodSpec(f"m{i}", f"Imbalance strategy {i}") for i in range(8)]
    methods = [*bases, *(MethodSpec(f"c{m.name}", f"CARE + {m.title}", m.name) for m in bases)]
    finished = {(m.name, f) for m in methods for f in "01"} - {("cm3", "0"), ("cm3", "1"), ("m4", "1")}
    names = ["NV", "Lung Opacity (with a box)"]
    figure = comparison_figure(_comparison(methods, finished, names=names), names[1:])
    boxes = _visible_boxes(figure)
    assert len(boxes) > 60
    overlapping = [(a, b) for (a, one), (b, other) in itertools.combinations(boxes, 2) if one.overlaps(other)]
    assert overlapping == []
    outside = [text for text, box in boxes if not figure.bbox.padded(2).fully_contains(*box.min)]
    assert outside == [text for text, box in boxes if not figure.bbox.padded(2).fully_contains(*box.max)] == []
    assert {"1 of 2 models", "no model yet", "minus Imbalance strategy 3, no model yet"} <= _texts(figure)


def test_many_columns_are_wrapped_in_their_order_and_no_text_overlaps():
    comparison = _comparison()
    titles = list(focus_figures(comparison, NAMES).values())
    assert len(titles) == 15
    figure = comparison_figure(comparison, NAMES)
    bands = [part.axes for part in figure.subfigs]
    assert [len(band) for band in bands] == [2 * 8, 2 * 8]
    drawn = [axes.get_title(loc="left").replace("\n", " ") for band in bands for axes in band[:8]]
    assert drawn == [*titles, ""]  # an empty place at the end
    overlapping = [
        (a, b) for (a, one), (b, other) in itertools.combinations(_visible_boxes(figure), 2) if one.overlaps(other)
    ]
    assert overlapping == []


# identities


def test_equal_comparisons_give_equal_files_and_leave_matplotlib_as_it_was(tmp_path):
    before = dict(matplotlib.rcParams)
    for name in ("a.png", "b.png"):
        write_comparison_plot(tmp_path / name, _comparison(), [], dots_per_inch=50)
    assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG" and image.width > 300


# edges


def test_without_baselines_there_is_one_row_of_panels():
    figure = comparison_figure(_comparison(PAIR[1:]), [])
    assert len(figure.axes) == 2
    assert not any("baseline" in text for text in _texts(figure))


def test_without_attention_there_is_no_column_for_it():
    figure = comparison_figure(_comparison(has_boxes=False), ["DF"])
    assert len(figure.axes) == 2 * 8 and "DF attention inside" not in _texts(figure)


def test_unfinished_method_has_its_row_and_no_dot():
    figure = comparison_figure(_comparison(finished={("ce", "0"), ("ce", "1")}), [])
    assert list(_means(figure.axes[0])) == [0] and _means(figure.axes[2]) == {}
    assert {"CARE", "no model yet", "minus Cross entropy, no model yet"} <= _texts(figure)


def test_baselines_in_a_circle_are_drawn_once():
    methods = [MethodSpec("a", "Method A", "b"), MethodSpec("b", "Method B", "a")]
    assert set(_means(comparison_figure(_comparison(methods), []).axes[0])) == {-0.27, 0, 0.73, 1}


def test_names_in_any_script_and_with_dollar_signs():
    methods = [MethodSpec("a", "$x$ 皮肤 $")]
    assert "$x$ 皮肤 $" in _texts(comparison_figure(_comparison(methods), []))


# errors


def test_unknown_class_in_focus_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"Classes in focus must be among .* Received: \['XX'\]"):
        comparison_figure(_comparison(), ["XX"])
    with pytest.raises(InputError, match="Classes in focus"):
        write_comparison_plot(tmp_path / "plot.png", _comparison(), ["XX"])
    assert list(tmp_path.iterdir()) == []
