"""The paper's tables as comparisons: what is compared, and the numbers published."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

UNPUBLISHED = (None, None, None)
"""The row of a method that the paper does not have."""


@dataclasses.dataclass(frozen=True)
class PaperTable:
    """A table of the paper on one data set, or the comparison behind a figure.

    Attributes:
      title: What it shows.
      configs: The configurations of its rows, without the data set's name.
      varied: As for `read_methods`.
      rows: Method -> (mean class accuracy in %, recall of the rarest class in %, AUC averaged over the classes); None
        where the paper has none.
      settings: The paper's values of tau, lam and alpha in its rows with attention, but for what is varied.
      exceptions: Method, without what varies -> those of these values that are others in its rows.
      differs: What always differs from the paper, for people; `differences_from_paper` tells what a configuration
        changes.
    """

    title: str
    configs: tuple[str, ...]
    rows: Mapping[str, tuple[float | None, float | None, float | None]]
    varied: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, float] = dataclasses.field(default_factory=lambda: {"tau": 0.7, "lam": 1.0, "alpha": 0.5})
    exceptions: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    differs: str = ""


def _sweep(name: str, values: Sequence[str], *figures: tuple[float, float]) -> Any:
    return {f"care_csl@{name}={value}": (*pair, None) for value, pair in zip(values, figures, strict=True)}


_METHODS = ("baseline", "care", "csl", "care_csl", "focal", "care_focal", "augmentation", "care_augmentation")
_BACKBONES = ("resnet18", "resnet50", "resnet152", "vgg19")
_ALPHA, _TAU, _LAM = ("0", ".1", ".3", ".5", ".7", ".9"), (".2", ".4", ".5", ".7", "1"), (".7", "1", "1.3")
# Table 1 is of the skin set. The X-ray rows of CARE + CSL in Tables 2, 4 and 5 are those of tau .5 in Table 6.
_XRAY = {"tau": 0.5, "lam": 0.5, "alpha": 0.5}
_CSL_TAU = {"care_csl": {"tau": 0.5}}  # the skin rows of CARE + CSL in Tables 2 and 4 are Table 6's of tau .5, too
_DSR = "`care boxes make --method dsr` cuts at DSR's own threshold, the paper at 0.5."
_BOXES = tuple(f"data/isic2018/boxes_{method}.csv" for method in ("dsr", "segmentation"))


def _backbones(*figures: tuple[float, float, float]) -> Any:
    names = [f"{method}@backbone={name}" for name in _BACKBONES for method in ("csl", "care_csl")]
    return dict(zip(names, figures, strict=True))


# Zhuang et al. 2023. Where two of its tables disagree, the row is the table's own (docs/reproduction.md lists them).
TABLES: dict[tuple[str, str], PaperTable] = {
    ("table2", "isic2018"): PaperTable(
        "CARE with every imbalance strategy",
        _METHODS,
        {
            "baseline": (74.1, 52.2, 0.962),
            "care": (78.2, 73.9, 0.973),
            "csl": (77.2, 56.5, 0.981),
            "care_csl": (81.0, 65.2, 0.986),
            "focal": (71.5, 52.2, 0.918),
            "care_focal": (73.9, 60.9, 0.933),
            "augmentation": (54.4, 56.6, 0.862),
            "care_augmentation": (56.2, 60.3, 0.885),
        },
        exceptions=_CSL_TAU,
    ),
    ("table2", "rsna"): PaperTable(
        "CARE with every imbalance strategy",
        _METHODS,
        {
            "baseline": (56.8, 7.4, 0.663),
            "care": (63.3, 31.1, 0.741),
            "csl": (57.9, 11.1, 0.704),
            "care_csl": (65.2, 45.0, 0.769),
            "focal": (58.4, 11.1, 0.758),
            "care_focal": (66.7, 49.4, 0.769),
            "augmentation": (59.6, 20.1, 0.805),
            "care_augmentation": (66.0, 45.2, 0.796),
        },
        settings=_XRAY,
    ),
    ("table3", "isic2018"): PaperTable(
        "CARE after other strategies of stage 1",
        ("siamese", "siamese_care", "decouple", "decouple_care"),
        {
            "siamese": (56.9, 21.7, None),
            "siamese_care": (68.9, 65.2, None),
            "decouple": (73.9, 65.2, None),
            "decouple_care": (78.3, 73.9, None),
        },
        differs="`siamese` has embeddings of length 1; the code of the paper's footnote 2 leaves their length free, as "
        "`siamese_footnote` does.",
    ),
    ("table4", "isic2018"): PaperTable(
        "CARE + CSL on four backbones",
        ("csl", "care_csl"),
        _backbones(
            *((74.1, 60.9, 0.990), (76.2, 73.9, 0.969)),
            *((77.7, 56.5, 0.953), (81.0, 65.2, 0.986)),
            *((80.5, 61.9, 0.914), (81.9, 72.2, 0.966)),
            *((70.2, 47.8, 0.881), (72.8, 56.5, 0.933)),
        ),
        {"model.backbone": _BACKBONES},
        exceptions=_CSL_TAU,
    ),
    ("table4", "rsna"): PaperTable(
        "CARE + CSL on four backbones",
        ("csl", "care_csl"),
        _backbones(
            *((57.8, 15.2, 0.581), (58.8, 25.5, 0.710)),
            *((57.9, 11.1, 0.704), (65.2, 45.0, 0.769)),
            *((59.1, 11.4, 0.747), (63.8, 31.3, 0.749)),
            *((61.7, 25.8, 0.873), (64.3, 41.2, 0.871)),
        ),
        {"model.backbone": _BACKBONES},
        settings=_XRAY,
    ),
    ("table5", "isic2018"): PaperTable(
        "The weight alpha of the attention loss",
        ("csl", "care_csl"),
        _sweep(
            "alpha",
            _ALPHA,
            *((77.7, 56.5), (78.8, 55.2), (79.9, 65.2), (80.3, 65.2), (80.2, 65.2), (80.2, 65.1)),
        ),
        {"stages.finetune.alpha": _ALPHA},
    ),
    ("table5", "rsna"): PaperTable(
        "The weight alpha of the attention loss",
        ("csl", "care_csl"),
        _sweep(
            "alpha",
            _ALPHA,
            *((57.9, 11.1), (63.8, 28.8), (64.4, 38.3), (65.2, 45.0), (64.3, 42.6), (65.2, 50.7)),
        ),
        {"stages.finetune.alpha": _ALPHA},
        settings=_XRAY,
    ),
    ("table6", "isic2018"): PaperTable(
        "The cap tau of the attention inside the box",
        ("csl", "care_csl"),
        {"csl": (77.7, 56.5, None)}
        | _sweep("tau", _TAU, (79.1, 73.9), (78.8, 69.6), (81.0, 65.2), (80.2, 65.2), (79.6, 78.3)),
        {"care.tau": _TAU},
    ),
    ("table6", "rsna"): PaperTable(
        "The cap tau of the attention inside the box",
        ("csl", "care_csl"),
        {"csl": (57.9, 11.1, None)}
        | _sweep("tau", _TAU, (64.9, 33.3), (68.9, 51.8), (65.2, 45.0), (67.4, 51.9), (64.0, 37.0)),
        {"care.tau": _TAU},
        settings=_XRAY,
    ),
    ("table7", "isic2018"): PaperTable(
        "The weight lambda of the attention outside the box",
        ("csl", "care_csl"),
        {"csl": (75.9, 56.5, None)} | _sweep("lam", _LAM, (79.95, 60.8), (80.6, 86.9), (79.94, 69.5)),
        {"care.lam": _LAM},
    ),
    ("table8", "isic2018"): PaperTable(
        "CARE with drawn boxes and with made ones",
        ("baseline", "care", "care_boxes_dsr", "care_boxes_segmentation"),
        {
            "baseline": (74.13, 52.17, None),
            "care": (78.17, 73.91, None),
            "care_boxes_dsr": (77.02, 65.22, None),
            "care_boxes_segmentation": (75.61, 60.87, None),
        },
        differs=f"The drawn boxes are tight boxes of published lesion masks, not the author's. {_DSR}",
    ),
    ("table9", "isic2018"): PaperTable(
        "CARE with made boxes beside CSL and FL",
        ("csl", "care_csl", "focal", "care_focal"),
        {
            "csl": (77.7, 56.5, None),
            "care_csl@train_boxes=boxes_dsr": (80.2, 78.3, None),
            "care_csl@train_boxes=boxes_segmentation": (81.4, 86.7, None),
            "focal": (72.0, 52.2, None),
            "care_focal@train_boxes=boxes_dsr": (72.3, 60.9, None),
            "care_focal@train_boxes=boxes_segmentation": (74.6, 82.6, None),
        },
        {"data.train_boxes": _BOXES},
        differs=_DSR,
    ),
    ("table10", "isic2018"): PaperTable(
        "Boxes for one, two and three rare classes",
        ("csl", "care_csl", "masks_df_vasc", "masks_df_vasc_akiec"),
        {
            "csl": (77.69, 56.52, None),
            "care_csl": (81.35, 86.96, None),
            "masks_df_vasc": (80.51, 82.61, None),
            "masks_df_vasc_akiec": (80.28, 69.57, None),
        },
        differs="The boxes are tight boxes of published lesion masks; the paper's are DeepLabV3's (row DF: Table 9).",
    ),
}
