"""A choice in a configuration: a name, or a name with arguments, out of those that a registry knows.

    loss: focal
    loss: {name: focal, gamma: 1.0}

A registry is a dict from each name to its `Entry`, and is in the package whose names it lists.
"""

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from care_tf.errors import InputError, did_you_mean

Setting = str | dict[str, Any]
"""A choice by name, "focal", or with arguments, {"name": "focal", "gamma": 1.0}."""


class Trait(enum.Enum):
    """What a choice does that another choice of the same stage may contradict."""

    BALANCES_CLASSES = "draws all classes equally often"
    CORRECTS_FOR_COUNTS = "makes up in the loss for how many images each class has"
    LEARNS_EMBEDDING = "trains what comes before the last Dense layer"
    FREEZES_EMBEDDING = "keeps what comes before the last Dense layer"
    SUPERVISES_ATTENTION = "trains on the attention map"
    SCALES_CLASSES = "trains one factor per class, and nothing else"
    COMPUTES_CLASSIFIER = "computes the last Dense layer"
    TRAINS = "has epochs"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """What a registry says about one of its names.

    Attributes:
      arguments: Arguments that may stand beside the name -> what they mean, or "".
      one_of: Those of which exactly one must be given.
      traits: What it does that other choices may contradict.
    """

    arguments: Mapping[str, str] = dataclasses.field(default_factory=dict)
    one_of: tuple[str, ...] = ()
    traits: frozenset[Trait] = frozenset()

    def described_arguments(self) -> str:
        """The arguments for a message: "gamma (discount, >= 0), scale", or "none"."""
        texts = [f"{name} ({meaning})" if meaning else name for name, meaning in self.arguments.items()]
        return ", ".join(texts) or "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Builder(Entry):
    """A name for something that is built from its arguments.

    Attributes:
      build: What builds it.
    """

    build: Callable[..., Any]


AnyEntry = TypeVar("AnyEntry", bound=Entry)


@dataclasses.dataclass(frozen=True)
class Choice:
    """A choice that its registry knows.

    Attributes:
      name: A name of the registry.
      arguments: What stands beside the name.
    """

    name: str
    arguments: dict[str, Any]

    @classmethod
    def read(cls, setting: Any, known: Mapping[str, Entry], what: str) -> "Choice":
        """Reads a setting of a configuration.

        Args:
          setting: A name, or {"name": ..., **arguments}; it is not changed.
          known: The registry.
          what: What is chosen, for messages: "classification loss".

        Raises:
          InputError: The name or an argument is unknown, or an argument is missing.

        Example:
          >>> Choice.read({"name": "focal", "gamma": 1.0}, {"focal": Entry(arguments={"gamma": ""})}, "loss")
          Choice(name='focal', arguments={'gamma': 1.0})
        """
        entry = entry_of(setting, known, what)
        choice = cls(setting_name(setting), setting_arguments(setting))
        unknown = sorted(str(argument) for argument in choice.arguments if argument not in entry.arguments)
        if unknown:
            raise InputError(
                f"The arguments of the {what} {choice.name!r} are: {entry.described_arguments()}. "
                f"Received {', '.join(unknown)}.{''.join(did_you_mean(name, entry.arguments) for name in unknown)}"
            )
        given = [argument for argument in entry.one_of if argument in choice.arguments]
        if entry.one_of and len(given) != 1:
            raise InputError(
                f"The {what} {choice.name!r} needs exactly one of {', '.join(entry.one_of)}. Received {setting!r}. "
                f'Write {{"name": "{choice.name}", "{entry.one_of[0]}": ...}}.'
            )
        return choice


def entry_of(setting: Any, known: Mapping[str, AnyEntry], what: str) -> AnyEntry:
    """What a registry says about the name of a setting, whatever arguments stand beside it.

    Raises:
      InputError: The name is unknown, or there is none.
    """
    name = setting_name(setting)
    if name not in known:
        raise InputError(
            f"The {what} must be one of {', '.join(known)}, alone or as the name beside its arguments. "
            f"Received {setting!r}.{did_you_mean(name, known)}"
        )
    return known[name]


def setting_name(setting: Any) -> str:
    """The name of a choice; "" where a mapping has none."""
    return str(setting.get("name", "")) if isinstance(setting, Mapping) else str(setting)


def setting_arguments(setting: Any) -> dict[str, Any]:
    """The arguments of a choice: what stands beside its name."""
    return {key: value for key, value in setting.items() if key != "name"} if isinstance(setting, Mapping) else {}
