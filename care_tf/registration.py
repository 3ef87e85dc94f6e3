"""Keras knows the classes of saved models as soon as it and care_tf are both imported, in whichever order.

`import care_tf` imports no Keras, and Keras imports nothing for a class that it does not know: the modules below, each
of which registers its class, must be imported before a model is loaded. That happens with Keras's own import, or when
care_tf is imported after it, or with the first package of care_tf that needs Keras.
"""

import importlib
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

# Whatever is in these packages, and what registers a class elsewhere.
_PACKAGES = ("care_tf.losses", "care_tf.metrics")
_MODULES = ("care_tf.model.care_model", "care_tf.model._mask_head", "care_tf.network.decoupled_classifier")


def registering_modules() -> list[str]:
    """The names of the modules that may register a class with Keras."""
    folders = {package: str(Path(__file__).with_name(package.rpartition(".")[2])) for package in _PACKAGES}
    found = [f"{package}.{module.name}" for package, folder in folders.items() for module in iter_modules([folder])]
    return [*found, *_MODULES]


def register_all() -> None:
    """Imports every module that registers a class with Keras; what is imported already costs nothing."""
    # It imports Keras, so that no module below is half imported when Keras has been.
    importlib.import_module("care_tf.keras_generation")
    for name in registering_modules():
        importlib.import_module(name)


def register_with_keras() -> None:
    """Registers now where Keras has been imported, otherwise when it is."""
    if "keras" in sys.modules:
        register_all()
    else:
        sys.meta_path.insert(0, _AfterKeras())


class _AfterKeras:
    """Finds Keras as it would be found without it, and registers when Keras's own module has run."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "keras":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next((spec for finder in others if (spec := finder.find_spec(name, path, target))), None)
        if spec is None or spec.loader is None:
            return spec
        run = spec.loader.exec_module

        def run_and_register(module: ModuleType) -> None:
            run(module)
            # Where care_tf itself imports Keras, the package that needs it registers (see `register_all`).
            if "care_tf.keras_generation" not in sys.modules:
                register_all()
            sys.meta_path.remove(self)

        spec.loader.exec_module = run_and_register  # type: ignore[method-assign]
        return spec
