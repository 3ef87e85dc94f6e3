"""What the environment variable TF_CONFIG says: the processes of a run, and which of them this one is."""

import dataclasses
import json
import re
from typing import Any

from care_tf.errors import InputError

EXAMPLE = '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'
_ADDRESS = re.compile(r"\S+:([0-9]{1,5})")


@dataclasses.dataclass(frozen=True)
class WorkerGroup:
    """The processes that share a run.

    Attributes:
      addresses: host:port of each of them, the first writes the run; () for no others.
      number: Which of them this process is, from 0 on.
    """

    addresses: tuple[str, ...] = ()
    number: int = 0


def read_tf_config(text: str | None) -> WorkerGroup:
    """The group that a TF_CONFIG names.

    Args:
      text: Its value; None or "" for none.

    Raises:
      InputError: It is no JSON, does not list the addresses of the workers, or says of none that it is this process.
    """
    try:
        given = json.loads(text or "{}")
    except ValueError as error:
        raise InputError(
            f"The environment variable TF_CONFIG must be JSON. Received {text!r} ({error}). Correct it, or unset it."
        ) from error
    group = _group(given)
    if isinstance(group, str):
        raise InputError(
            "The environment variable TF_CONFIG must list all workers and say which of them this process is, such as "
            f"{EXAMPLE}. Received {text!r}: {group}. Correct it, or unset it; docs/scaling.md shows how."
        )
    return group


def _group(given: Any) -> WorkerGroup | str:
    """The group, or what is wrong."""
    if not isinstance(given, dict):
        return "it is no object {...}"
    cluster = given.get("cluster", {})
    if not isinstance(cluster, dict):
        return "cluster is no object {...}"
    for role, addresses in cluster.items():
        if not isinstance(addresses, list) or not all(_is_address(each) for each in addresses):
            return f"{role} is no list of texts host:port"
    chiefs, workers = cluster.get("chief", []), cluster.get("worker", [])
    every = (*chiefs, *workers)
    if not every:
        return WorkerGroup()
    if len(chiefs) > 1:
        return f"there are {len(chiefs)} chiefs, and there can be one"
    if len(set(every)) < len(every):
        return "two workers have the same address"
    task = given.get("task")
    if not isinstance(task, dict) or task.get("type") not in ("chief", "worker"):
        return 'task has no type "worker" or "chief"'
    index, count = str(task.get("index")), len(cluster.get(task["type"], []))
    if not re.fullmatch("[0-9]{1,6}", index) or int(index) >= count:
        return f"there are {count} of type {task['type']}, and the index of task, from 0 on, is of none of them"
    return WorkerGroup(every, int(index) + (len(chiefs) if task["type"] == "worker" else 0))


def _is_address(value: Any) -> bool:
    parts = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    try:
        str(value).rpartition(":")[0].encode("idna")
    except UnicodeError:  # as of host..b, on which a connection would fail
        return False
    return parts is not None and 0 < int(parts[1]) < 2**16
