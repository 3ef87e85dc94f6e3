"""A choice in a configuration: a name, or a name with arguments."""

from typing import Any

Setting = str | dict[str, Any]
"""A choice by name, "focal", or with arguments, {"name": "focal", "gamma": 1.0}."""


def setting_name(setting: Any) -> str:
    """The name of a choice; "" where a mapping has none."""
    return str(setting.get("name", "")) if isinstance(setting, dict) else str(setting)


def setting_arguments(setting: Any) -> dict[str, Any]:
    """The arguments of a choice: what stands beside its name."""
    return {key: value for key, value in setting.items() if key != "name"} if isinstance(setting, dict) else {}
