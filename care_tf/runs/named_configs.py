"""Configurations by name: a file of the user's, or one of those that come with the package."""

import os
from collections.abc import Sequence
from pathlib import Path

from care_tf.errors import InputError, did_you_mean
from care_tf.yaml_text import parse_yaml

CONFIGS, RUNS = "configs", Path("runs")


def packaged_folder() -> Path:
    """The folder of the package's own configurations: inside the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / CONFIGS
    return inside if inside.is_dir() else package.parent / CONFIGS


def config_names() -> list[str]:
    """The names of the package's own configurations, such as isic2018/care_csl."""
    folder = packaged_folder()
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob("**/*.yaml"))


def config_purpose(name: str) -> str:
    """The first comment line of one of the package's own configurations."""
    with (packaged_folder() / f"{name}.yaml").open(encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()


def find_config(name: str | os.PathLike, folder: str | os.PathLike = "") -> Path:
    """Finds a configuration: a path first, then a name of the package's own; .yaml may be left out of both.

    Args:
      name: Path or name.
      folder: What a relative path is relative to.

    Returns:
      The file.

    Raises:
      InputError: There is no such file.
    """
    text = os.fspath(name)
    for place in (Path(folder), packaged_folder()):
        for path in (place / text, place / f"{text}.yaml"):
            if os.path.isfile(path):  # False for names that no file can have, where `Path.is_file` may raise
                return path
    raise InputError(
        f"A configuration must be a YAML file or a name that `care configs` lists. Received {text}, which is neither."
        + did_you_mean(text.removesuffix(".yaml"), config_names())
    )


def run_name(path: str | os.PathLike) -> Path:
    """What the runs of a configuration are called: its path below the last folder named configs, without .yaml.

    A file that lies below no such folder gives its own name alone.

    Example:
      >>> run_name("configs/isic2018/baseline.yaml").as_posix()
      'isic2018/baseline'
    """
    parts = Path(os.path.abspath(path)).with_suffix("").parts
    above = [index for index, part in enumerate(parts[:-1]) if part == CONFIGS]
    return Path(*parts[above[-1] + 1 :]) if above else Path(parts[-1])


def value_name(text: str) -> str:
    """What a variant of a setting is called: numbers that YAML reads as equal have one name, other values their text.

    Example:
      >>> [value_name(text) for text in ("0.5", ".5", "1.0", "1", "-0.5", "1.0e-4", "resnet18")]
      ['.5', '.5', '1', '1', '-.5', '.0001', 'resnet18']
    """
    try:
        value = parse_yaml(text, "The value")
    except InputError:
        return text  # refused where the configuration is read
    if isinstance(value, bool) or not isinstance(value, int | float):
        return text
    name = f"{value:.15g}"
    return f"-{name[2:]}" if name.startswith("-0.") else name.removeprefix("0") if name.startswith("0.") else name


def refuse_former_folder(output: str | os.PathLike) -> None:
    """Refuses to start anew where a run of the same name may be waiting to be continued.

    Default run folders were runs/<name> before they contained the data set's name.

    Args:
      output: The default run folder of a configuration, runs/<data set>/<name>.

    Raises:
      InputError: There is no such folder, but there is a run in runs/<name>.
    """
    former = RUNS / Path(output).name
    if Path(output) != former and not Path(output).exists() and (former / "config.yaml").exists():
        raise InputError(
            f"The default run folder is {output} now, and {former} holds a run of the same name. Give output={former} "
            f"to continue it, or output={output} to start another."
        )


def comparison_folder(names: Sequence[str]) -> Path:
    """Where a comparison goes by default: runs/<data set>/comparison, where its configurations share a data set."""
    data_sets = {run_name(find_config(name)).parent for name in names}
    return RUNS / (data_sets.pop() if len(data_sets) == 1 else "") / "comparison"
