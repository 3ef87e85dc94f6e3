"""What of the settings of a table's runs differs from the paper's."""

import os
from collections.abc import Iterable, Mapping

from care_tf.runs.config import RunConfig
from care_tf.runs.reproduction import PaperTable

_IMAGE_SIZE = (224, 224)


def differences_from_paper(table: PaperTable, configs: Mapping[str, RunConfig]) -> list[str]:
    """A sentence per difference that the configurations of a table's methods show, then what always differs.

    Args:
      table: The paper's table.
      configs: Method -> configuration, with the rows that it was tested on.
    """
    every = list(configs.values())
    backbones = table.varied.get("model.backbone", ("resnet50",))
    other = _listed(config.model.backbone for config in every if config.model.backbone not in backbones)
    sizes = _listed("{} x {}".format(*c.data.image_size_px) for c in every if c.data.image_size_px != _IMAGE_SIZE)
    weights = _listed(_named(config.model.weights) for config in every if config.model.weights != "imagenet")
    tests = [config.data.test for config in every]
    splits = _listed(test.split for test in tests if test.split is not None)
    has_folds = any(test.folds is not None for test in tests)
    sentences = [
        f"Backbone {other}; the paper's: {', '.join(backbones)}." if other else "",
        f"Images of {sizes} px; the paper's: 224 x 224." if sizes else "",
        f"Weights at the start: {weights}; the paper's: imagenet." if weights else "",
        f"Tested on the manifest's split {splits}." if splits else "",
        "Tested on folds, which `care prepare` groups by lesion or patient; the paper splits images 80/20."
        if has_folds
        else "",
        *_settings(table, configs),
        table.differs,
    ]
    return [sentence for sentence in sentences if sentence]


def _settings(table: PaperTable, configs: Mapping[str, RunConfig]) -> list[str]:
    """tau, lam and alpha where the paper's row has another; what the table varies is the row itself."""
    varied = {key.rpartition(".")[2] for key in table.varied}
    found: dict[str, list[str]] = {}
    for method, config in configs.items():
        alphas = [stage.alpha for stage in config.stages if stage.alpha > 0]
        if not alphas:
            continue
        ours = {"tau": config.care.tau, "lam": config.care.lam, "alpha": alphas[-1]}
        for name, paper in {**table.settings, **table.exceptions.get(method.partition("@")[0], {})}.items():
            if name not in varied and ours[name] != paper:
                found.setdefault(f"{name} {ours[name]:g}; the paper's: {paper:g}", []).append(method)
    return [f"{', '.join(methods)}: {text}." for text, methods in found.items()]


def _named(weights: str | None) -> str:
    return "random" if weights is None else os.path.basename(os.path.normpath(weights))


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))
