"""``user_data`` as backends send it → lists of texts under Meta's names; what Graph would ignore is left out here."""

from collections.abc import Iterator, Mapping
from typing import Any

from proxy.graph.law import BUSINESS_KEYS, REQUEST_KEYS
from proxy.rules.match.keys import HASHED, PLAIN
from proxy.rules.server_wire.values import text_or_number

_KEYS = frozenset({*HASHED, *PLAIN, *REQUEST_KEYS, *BUSINESS_KEYS})


def keys_of(claimed: Mapping[str, Any], findings: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the values of each key as texts, raw or hashed as they were given.

    Args:
        claimed: The member ``user_data``.
        findings: Where it is noted what was left out: unknown members under ``user_data``, values under their key.
    """
    keys: dict[str, tuple[str, ...]] = {}
    for name, value in claimed.items():
        if name not in _KEYS:
            findings.append("user_data:unusable")
            continue
        values = list(_values(value))
        texts = tuple(text for text in values if text)
        if None in values:
            findings.append(f"{name}:unusable")
        if texts:
            keys[name] = texts
    return keys


def _values(value: Any) -> Iterator[str | None]:
    """Yield each value as text, None for a value that cannot be text; nulls are left out."""
    members = value if isinstance(value, list) else value.values() if isinstance(value, dict) else [value]
    for member in members:
        if member is not None:
            text = text_or_number(member)
            yield text if text is None else text.strip()
