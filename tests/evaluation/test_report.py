import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from care_tf.errors import InputError
from care_tf.evaluation._report import GalleryGroup, Report, ReportedRun, write_report
from care_tf.evaluation.scores import evaluate_predictions, paired_difference

EVIL = "<script>alert(1)</script>"


class _Page(HTMLParser):
    """Collects the tags, the text and the images of a page, and checks that tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.images, self.open, self.words = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        elif tag not in ("meta", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"[ \n]+", " ", " ".join(self.words))


def _run(seed, names=("NV", "MEL", "DF")):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], [20, 10, 5])
    groups = np.arange(35) // 2
    share = np.where(labels == 2, rng.uniform(size=35), np.nan)
    probabilities = rng.dirichlet(np.ones(3), 35)
    scores = evaluate_predictions(labels, probabilities, names, groups, share, num_resamples=20)
    return scores, (labels, probabilities, share, groups)


def _arguments(names=("NV", "MEL", "DF")):
    baseline, (labels, before, share_before, groups) = _run(0, names)
    scores, (_, after, share_after, _) = _run(1, names)
    return {
        "title": "CARE on lesions",
        "run": ReportedRun("CARE", scores),
        "history": [{"stage": s, "epoch": i, "loss": 1.0, "val_macro_auc": 0.5} for i, s in enumerate([1, 1, 2])],
        "examples": [
            {"name": f"image {EVIL}", "label": names[2], "image": np.zeros((9, 12, 3), np.uint8),
             "boxes": [(2, 2, 8, 8)], "attention_after": np.ones((3, 4)), "predicted_after": names[0]}
        ],
        "config_text": f"alpha: 0.5  # {EVIL}\n",
        "environment": {"keras": "3.15", "command": EVIL},
        "baseline": ReportedRun("cross-entropy", baseline),
        "differences": paired_difference(
            labels, before, after, names, groups, share_before, share_after, num_resamples=20
        ),
    }  # fmt: skip


def _write(path, **changes):
    write_report(path, Report(**{**_arguments(), **changes}))
    text = path.read_text(encoding="utf-8")
    return text, _Page(text)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The page of `_arguments` as it stands."""
    return _write(tmp_path_factory.mktemp("written") / "report.html")


# oracle


def test_page_holds_what_was_given(written):
    scores = _arguments()["run"].scores
    _, page = written
    for expected in (
        "CARE on lesions", "35 images of 18 patients or lesions", "not a medical device", "Recall of DF",
        f"{100 * scores.mean_class_accuracy.value:.1f}\u202f%", "cross-entropy", "One image of DF is 20.0 points",
        "Where the network looks", "Training", "alpha: 0.5", "3.15", "20 resamples",
    ):  # fmt: skip
        assert expected in page.text
    assert page.text.count("the interval") >= 4  # one sentence per headline figure
    assert page.tags.count("details") == 3


# identities


def test_equal_arguments_give_equal_bytes(written, tmp_path):
    assert _write(tmp_path / "again.html")[0] == written[0]


def test_examples_without_boxes_are_shown_and_not_judged(tmp_path):
    boxed, unboxed = _arguments()["examples"][0], {"attention_predicted": np.eye(3), "boxes": []}
    judged, nothing = "Attention to the true class, whatever", "No image tested has a box"
    examples = {"boxed": [boxed], "both": [boxed, boxed | unboxed], "unboxed": [boxed | unboxed]}
    alone = {"baseline": None, "differences": None, "history": []}
    texts = {name: _write(tmp_path / name, examples=given, **alone)[1].text for name, given in examples.items()}
    assert [judged in texts[name] for name in examples] == [True, True, False]
    assert [nothing in texts[name] for name in examples] == [False, False, True]
    assert ["nothing to judge its maps by" in texts[name] for name in examples] == [False, True, False]
    assert ["for the predicted class" in texts[name] for name in examples] == [False, True, True]


# properties


def test_page_needs_nothing_from_outside(written):
    text, page = written
    assert page.images and all(image["src"].startswith("data:image/") for image in page.images)
    assert all(image["alt"] for image in page.images)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    assert "http" not in re.sub(r"data:[^\"]*", "", text) and "url(" not in text


def test_names_cannot_inject_markup(tmp_path):
    text, page = _write(tmp_path / "report.html", **_arguments(("NV", "a&b", EVIL)))
    assert "<script" not in text
    assert EVIL in page.text


def test_runs_are_called_by_their_names(written, tmp_path):
    texts = [written[1].text, _write(tmp_path / "long.html", run=_named("a" * 90))[1].text]
    for text in texts:
        assert "cross-entropy" in text and "baseline" not in text.lower()
    assert "a" * 90 in texts[1]


def _named(name):
    return ReportedRun(name, _arguments()["run"].scores)


def test_a_gallery_says_how_many_there_are_and_keeps_proportions(tmp_path):
    example = _arguments()["examples"][0] | {"attention_predicted": np.eye(3), "note": "cross-entropy: MEL 51 %"}
    example |= {"image": np.zeros((90, 30, 3), np.uint8), "boxes": [], "probability_true": 0.1}
    example |= {"probability_predicted": 0.8}
    group = GalleryGroup("DF, missed", [example], 7)
    right = GalleryGroup("DF", [example | {"predicted_after": "DF", "probability_predicted": 0.1}], 3)
    _, page = _write(tmp_path / "report.html", mistakes=[group], right=[right])
    for expected in (
        "DF, missed 1 of 7",
        "for DF, 10\u202f%",
        "NV 80\u202f%",
        "cross-entropy: MEL 51 %",
        "Right of each",
    ):
        assert expected in page.text
    sizes = [_size(image) for image in page.images if "attention map" in image["alt"] or "of class" in image["alt"]]
    assert sizes.count((85, 256)) == 5  # three pictures of the mistake, two of the right one


def test_right_ones_say_which_classes_are_never_right_and_which_are_cut(tmp_path):
    example = _arguments()["examples"][0] | {"probability_true": 0.8, "probability_predicted": 0.8}

    def heading(num_classes, wrong):
        labels, names = np.arange(num_classes), tuple(f"class {i}" for i in range(num_classes))
        called = np.where(labels == wrong, 0, labels)
        run = ReportedRun("CARE", evaluate_predictions(labels, np.eye(num_classes)[called], names, num_resamples=2))
        report = Report("page", run, right=[GalleryGroup("class 0", [example], 1)])
        write_report(tmp_path / "report.html", report)
        text = _Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
        return re.search("the surest and the least sure(.*?) DF image", text)[1]

    assert heading(3, wrong=None) == ""
    assert heading(3, wrong=2) == "; never right: class 2"
    assert heading(14, wrong=13) == ", the 12 rarest of 13; never right: class 13"


def _size(image):
    return Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))).size


# edges


def test_run_alone_needs_only_scores(tmp_path):
    write_report(tmp_path / "report.html", Report("alone", ReportedRun("alone", _run(0)[0])))
    page = _Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert not any(words in page.text for words in ("baseline", "Training", "Where the network looks", "Mistakes"))
    assert len(page.images) == 3  # recall, attention, confusion


def test_classes_in_focus_are_named(tmp_path):
    _, page = _write(tmp_path / "report.html", focus_classes=["MEL", "DF"])
    assert "Recall of MEL" in page.text and "One image of MEL is 10.0 points" in page.text


# errors


def test_baseline_on_other_images_is_refused(tmp_path):
    other = evaluate_predictions(np.array([0, 1, 2]), np.eye(3), ["NV", "MEL", "DF"], num_resamples=5)
    with pytest.raises(InputError, match=r"compared on the same images of the same classes. Received: .*'NV', 1"):
        _write(tmp_path / "report.html", baseline=ReportedRun("other", other))
    assert not list(tmp_path.iterdir())


def test_differences_without_a_baseline_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"beside a baseline. Received: none"):
        _write(tmp_path / "report.html", baseline=None)
