"""YAML from strangers: whatever cannot be read, or would unfold without end, is one `InputError`."""

from typing import Any

from care_tf.errors import InputError
from care_tf.extras import require_extra

_MOST_VALUES = 100_000
_DEEPEST = 100


def parse_yaml(text: str, where: str, *, texts_only: bool = False) -> Any:
    """A YAML document of plain values: nothing in it is executed.

    Aliases (`*name`) count as what they stand for: a few of them can unfold to more than the memory holds.

    Args:
      text: The document.
      where: The file, for messages.
      texts_only: Leaves every scalar a text, so that a class called NO does not become False.

    Returns:
      The values; None of an empty document.

    Raises:
      InputError: It is no YAML, is nested more than 100 deep, or holds more than 100,000 values.

    Example:
      >>> parse_yaml("a: [1, no]", "t.yaml"), parse_yaml("a: [1, no]", "t.yaml", texts_only=True)
      ({'a': [1, False]}, {'a': ['1', 'no']})
    """
    require_extra("Reading YAML", "runs", "yaml")
    import yaml

    class Loader(yaml.BaseLoader if texts_only else yaml.SafeLoader):  # type: ignore[misc]
        depth = 0

        def compose_node(self, *place: Any) -> Any:
            self.depth += 1
            if self.depth > _DEEPEST:  # before thousands of brackets have cost their seconds
                raise _too_deep(where)
            node = super().compose_node(*place)
            self.depth -= 1
            return node

    loader = None
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, where, {})
        return loader.construct_document(node)
    except InputError:
        raise
    except yaml.YAMLError as error:
        raise InputError(f"{where} is not valid YAML: {' '.join(str(error).split())}.") from error
    except Exception as error:  # dates, numbers and tags are made by functions that raise whatever Python's own do
        raise InputError(
            f"{where} is not valid YAML: a value is no date, number or whatever it looks like ({error}). Put quotes "
            "around a text."
        ) from error
    finally:
        if loader is not None:
            loader.dispose()


def _measure(node: Any, where: str, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """The number of values in a node, aliases written out, and how deep they are nested."""
    if id(node) in known:
        found = known[id(node)]
        if found is None:
            raise InputError(f"{where} has an alias that stands for a value which contains it. Leave it out.")
        return found
    known[id(node)] = None
    size, depth = 1, 1
    if isinstance(node.value, list):  # of nodes, or of pairs of a key and a value
        parts = [part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))]
        for part in parts:
            inner_size, inner_depth = _measure(part, where, known)
            size, depth = size + inner_size, max(depth, inner_depth + 1)
    elif "\0" in node.value:
        raise InputError(f"{where} has a text with a zero byte, a character that no text may have. Leave it out.")
    if depth > _DEEPEST:
        raise _too_deep(where)
    if size > _MOST_VALUES:
        raise InputError(
            f"{where} must hold at most {_MOST_VALUES:,} values, its aliases (*name) written out. Received more. Write "
            "the values without aliases, or fewer of them."
        )
    known[id(node)] = size, depth
    return size, depth


def _too_deep(where: str) -> InputError:
    return InputError(f"{where} must not be nested more than {_DEEPEST} deep. Received more. Correct its brackets.")
