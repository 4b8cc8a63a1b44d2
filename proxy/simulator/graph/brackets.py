"""PHP's way to write nested values as flat form fields: ``data[0][user_data][em][]=…``. Pure."""

import re
from collections.abc import Iterator
from typing import Any

FIELD = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])+)")
KEY = re.compile(r"\[([^\[\]]*)\]")
MAX_KEYS = 32

_Node = dict[str, Any]


class TooDeepError(ValueError):
    """A field whose name has more brackets than anything that Graph reads."""


def nested(pairs: list[tuple[str, Any]], name: str) -> list[Any]:
    """Return the values that the bracketed text fields of a name make up, in the order of their first appearance.

    Below the first brackets, keys that count up from 0 make a list.

    Args:
        pairs: All parameters of a request.
        name: What stands before the first bracket.

    Raises:
        TooDeepError: When a name has more than 32 brackets.
    """
    root: _Node = {}
    for keys, value in _paths(pairs, name):
        _put(root, keys, value)
    return [_with_lists(value) for value in root.values()]


def _paths(pairs: list[tuple[str, Any]], name: str) -> Iterator[tuple[list[str], str]]:
    for field, value in pairs:
        found = FIELD.fullmatch(field) if isinstance(value, str) and field.startswith(name) else None
        if found and found[1] == name:
            keys = KEY.findall(found[2])
            if len(keys) > MAX_KEYS:
                raise TooDeepError(f"The parameter {name} nests more than {MAX_KEYS} levels deep.")
            yield keys, value


def _put(node: _Node, keys: list[str], value: str) -> None:
    for key in keys[:-1]:
        place = key or str(len(node))
        if not isinstance(node.get(place), dict):
            # A later field wins, as in PHP: a text makes room for what lies below it.
            node[place] = {}
        node = node[place]
    node[keys[-1] or str(len(node))] = value


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    content = {key: _with_lists(item) for key, item in value.items()}
    return list(content.values()) if list(content) == [str(index) for index in range(len(content))] else content
