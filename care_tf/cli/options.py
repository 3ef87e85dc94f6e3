"""Arguments and options that several commands have: one spelling, one help text, one meaning."""

import csv
import os
from collections.abc import Callable
from functools import partial, reduce
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from care_tf.cli.commands import Option
from care_tf.errors import InputError
from care_tf.evaluation.check_size import CHECK_IMAGES
from care_tf.run_files import check_finished_run, check_model

PATH = click.Path(path_type=Path)


class Checked(click.Path):
    """A path that is refused before TensorFlow starts, unless `check` finds nothing wrong with it."""

    def __init__(self, check: Callable[[Path], None]):
        super().__init__(path_type=Path)
        self._check = check

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        self._check(path)
        return path


def _check_manifest(path: Path) -> None:
    if not path.exists():
        raise InputError(f"There is no manifest {path}. Make one with care prepare, or correct its path.")


RUN, MODEL, MANIFEST = Checked(check_finished_run), Checked(check_model), Checked(_check_manifest)


class Words(click.ParamType):
    """Words separated by commas -> list; a word that has a comma itself goes in double quotes, as in a CSV file.

    Args:
      may_be_empty: Whether no word at all is a value.
    """

    name = "words"

    def __init__(self, may_be_empty: bool = False):
        self._may_be_empty = may_be_empty

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list:
        words = [word.strip() for word in next(csv.reader([value], skipinitialspace=True), []) if word.strip()]
        if not words and not self._may_be_empty:
            self.fail("It must name at least one.", param, ctx)
        return words


class WholeNumbers(Words):
    """Whole numbers, at least 0, separated by commas -> list of int."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list:
        words = super().convert(value, param, ctx)
        if not all(word.isdecimal() for word in words):
            self.fail(f"It must be whole numbers, at least 0, separated by commas. Received {value!r}.", param, ctx)
        return [int(word) for word in words]


class ImageSize(click.ParamType):
    """N or HEIGHTxWIDTH in px -> (height, width): how every command takes the size of images.

    Args:
      word: A word that is taken as it is.
    """

    name = "size"

    def __init__(self, word: str | None = None):
        self._word = word

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple) or value == self._word:
            return value
        sides = value.lower().split("x")
        if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
            or_word = f", or {self._word}" if self._word else ""
            known = f"N or HEIGHTxWIDTH in px, such as 224 or 192x256{or_word}"
            self.fail(f"It must be {known}. Received {value!r}.", param, ctx)
        return int(sides[0]), int(sides[-1])


class AnnotationFormat(click.Choice):
    """A format of annotation files; the formats are imported when they are needed."""

    case_sensitive = True

    def __init__(self) -> None:
        pass  # click's own takes the choices, which are not known yet

    @property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]
        from care_tf.boxes.formats import FORMATS

        return tuple(FORMATS)


option = partial(click.option, cls=Option)
output = partial(option, "--output", type=PATH, required=True, metavar="PATH")
classes = partial(option, "--classes", type=Words(), joined_by=",", metavar="CLASS,...")
folds = partial(option, "--folds", type=Words(), joined_by=",", metavar="FOLD,...")
image_size = partial(option, "--image-size", type=ImageSize(), joined_by="x", metavar="SIZE")
image_format = partial(option, "--format", "format_name", type=AnnotationFormat())
whole_number = click.IntRange(min=1)
workers = partial(option, "--workers", type=whole_number, metavar="N", help="Images at a time. [default: one per core]")
backend = click.option(
    "--backend", type=click.Choice(["local", "dask", "ray"]), default="local", help="Who does the work."
)
scheduler = click.option("--scheduler", metavar="ADDRESS", help="A running cluster. [default: one on this machine]")
manifest = click.argument("manifest", type=MANIFEST)
run = click.argument("run", type=RUN)
overwrite = option("--overwrite", is_flag=True, formerly="--force", help="Replace the output if it exists.")
seed = option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Equal seeds give equal results.")
resamples = option(
    "--resamples", "num_resamples", type=whole_number, default=1000, help="Bootstrap resamples of the intervals."
)
group = option("--group", metavar="COLUMN", help="Of the manifest, such as cue: recall for each of its values, too.")
pairs = option("--pairs", metavar="COLUMN", help="Names pairs that differ in --group: how often their call changes.")
port = partial(option, "--port", type=click.IntRange(0, 65535), help="TCP port; 0 takes a free one.")
labels = option(
    "--labels",
    type=Words(),
    joined_by=",",
    metavar="LABEL,...",
    help="Take boxes of these labels only. [default: all]",
)
folds_file = option(
    "--folds-file", formerly="--folds", type=PATH, help="CSV with image name and fold; otherwise folds are dealt."
)
num_folds = option("--num-folds", type=click.IntRange(min=2), default=5, help="How many folds to deal.")
split = option(
    "--split",
    type=click.Choice(["group", "image"]),
    default="group",
    help="image: beside the folds a split column, 80 % train and 20 % test by image as in the paper, which leaks.",
)
max_pixel_value = option(
    "--max-pixel-value",
    type=click.IntRange(1, 2**16 - 1),
    metavar="N",
    help="White in 16-bit PNGs: 4095 where they hold 12 bits. [default: their upper byte]",
)
voc_pixel_origin = option(
    "--voc-pixel-origin",
    type=click.IntRange(0, 1),
    help="voc: 1 as the VOC kit counts pixels (the default), 0 as labelImg, CVAT and Label Studio write edges.",
)


def check_images(min: int) -> Callable:
    """The option that says how many images are predicted again with parts hidden, at least `min`."""
    return option(
        "--check-images",
        type=click.IntRange(min=min),
        default=CHECK_IMAGES,
        metavar="N",
        help="Images of each class with boxes to predict 34 times more, with parts hidden"
        + ("." if min else "; 0: none."),
    )


def chosen_rows(whose: str, part: str) -> Callable:
    """The options that say on which labeled images; `whose` manifest and which `part` of its data is the default."""
    each = [
        option("--manifest", type=MANIFEST, help=f"Manifest CSV. [default: {whose} own]"),
        option("--split", help=f"Rows with this value in the split column. [default: {whose} data.{part}]"),
        folds(help="Rows of these folds.", joined_by=None),
    ]
    return lambda command: reduce(lambda inner, add: add(inner), reversed(each), command)


def _names_or_files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from care_tf.runs.named_configs import config_names

    names = [name for name in config_names() if name.startswith(incomplete)]
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="file")]


def configs(usage: str) -> Callable:
    """The words of a command that takes configurations and key=value changes, in any order."""
    return click.argument("words", nargs=-1, metavar=usage, shell_complete=_names_or_files)


def split_words(words: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The configurations and the key=value changes among `words`; a path with a "=" in it is written ./like=this."""
    changes = [word for word in words if "=" in word and os.sep not in word.partition("=")[0]]
    return [word for word in words if word not in changes], changes


def one_config(words: tuple[str, ...]) -> tuple[str, list[str]]:
    """The configuration and the key=value changes among `words`.

    Raises:
      InputError: Not exactly one configuration is named.
    """
    names, changes = split_words(words)
    if len(names) != 1:
        received = ", ".join(names) or "none"
        raise InputError(f"Name one configuration, such as isic2018/baseline. Received {received}. See care configs.")
    return names[0], changes


def one_side(size: tuple[int, int], why: str) -> int:
    """The side of a square `--image-size`.

    Raises:
      InputError: It is not square.
    """
    if size[0] != size[1]:
        raise InputError(f"--image-size must be one number here: {why}. Received {size[0]}x{size[1]}.")
    return size[0]


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raises InputError where an existing file would be replaced without --overwrite."""
    if os.path.lexists(path) and not overwrite:
        raise InputError(f"The output must not exist yet. Received {path}. Choose another one, or give --overwrite.")


def format_options(choices: dict[str, Any]) -> dict[str, Any]:
    """Takes the options of annotation formats out of `choices`; one of another format is refused when it is used."""
    names = {"voc_pixel_origin": "pixel_origin", "class_file": "class_file", "url_prefix": "url_prefix"}
    given = {name: choices.pop(choice, None) for choice, name in names.items()}
    given = {name: value for name, value in given.items() if value is not None}
    if (size := choices.pop("image_size")) is not None:
        given["image_size"] = None if size == "own" else (size[1], size[0])  # formats count width first
    return given
