"""Custom data: what of them may leave; blocked members go, and nobody's secrets stay in the rest.

No call raises, and cleaning what is clean changes nothing.
"""

import re
from collections.abc import Mapping
from itertools import product
from typing import Any, NamedTuple

import orjson

from proxy.rules.effort import Effort
from proxy.rules.payload.addresses import KEY, AddressCleaner
from proxy.rules.payload.names import SHORT, Allowed, is_long_blocked, is_short_blocked
from proxy.rules.payload.secret_shapes import may_hold_shapes, shape_of
from proxy.rules.payload.shape_patterns import SUSPECTS

_REDACTED = "[redacted]"
# Custom data that names goods and orders (Meta, custom data parameters, and what shops call the same).
_IDS = frozenset({
    "content_id", "content_ids", "ean", "gtin", "id", "ids", "isbn", "item_group_id", "item_id", "mpn", "order_id",
    "product_id", "product_ids", "sku", "transaction_id", "variant_id",
})  # fmt: skip
_ADDRESS_IN_JSON = re.compile(rb'"http', re.IGNORECASE)
_HTTP = frozenset(map("".join, product("Hh", "Tt", "Tt", "Pp")))
# As long as the numbers of cards.
_LONG_NUMBER = 10**13


class CleanData(NamedTuple):
    """What may leave, and for what each removed part was taken."""

    data: Mapping[str, Any]
    removed: tuple[str, ...] = ()


def clean_data(data: Mapping[str, Any], allowed: Allowed, effort: Effort) -> CleanData:
    """Return custom data without blocked members and with each text or name that holds a secret ``[redacted]``.

    A text that is an address is cleaned as one. Texts that name products and orders keep everything but what is a
    secret beyond doubt. What cannot be read with what is left of the effort is taken for a secret.

    Args:
        data: Custom data as the page gave them.
        allowed: What the site lets leave.
        effort: What is left of the request's budget.
    """
    if not data:
        return CleanData({})
    removed: list[str] = []
    try:
        written = orjson.dumps(data)
    except TypeError:  # what cannot be written as JSON
        return CleanData(_DataCleaner(allowed, effort, removed).members(data), tuple(removed))
    # What JSON escapes has other neighbours there than in its text.
    reads = b"\\" in written or bool(SUSPECTS.Match(written)) or (not written.isascii() and may_hold_shapes(written))
    cleaner = _DataCleaner(
        allowed, effort, removed, reads=reads, has_addresses=_ADDRESS_IN_JSON.search(written) is not None
    )
    return CleanData(cleaner.members(data), tuple(removed))


class _DataCleaner:
    """Goes through one event's data."""

    def __init__(
        self, allowed: Allowed, effort: Effort, removed: list[str], *, reads: bool = True, has_addresses: bool = True
    ) -> None:
        """Begin; ``reads`` is False where no text holds any shape, ``has_addresses`` where none is among the values."""
        self._block = allowed.block
        self._effort = effort
        self._removed = removed
        self._reads = reads
        self._addresses = AddressCleaner(allowed, effort, removed) if has_addresses else None
        if self._addresses:
            self._addresses.reads = reads

    def members(self, data: Mapping[str, Any]) -> dict[str, Any]:
        if not self._reads and self._addresses is None:
            return self._named(data)
        clean = {}
        for name, value in data.items():
            public = self._text(name) if self._reads else name
            if self._is_blocked(public):
                self._removed.append(KEY)
            else:
                clean[public] = self._value(value, is_id=name in _IDS)
        return clean

    def _is_blocked(self, name: str) -> bool:
        if len(name) <= SHORT:
            return is_short_blocked(name, self._block)
        return is_long_blocked(name, self._block, self._effort)

    def _named(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return data whose names alone matter."""
        clean = {name: self._within(value) for name, value in data.items() if not self._is_blocked(name)}
        self._removed += [KEY] * (len(data) - len(clean))
        return clean

    def _within(self, value: Any) -> Any:
        if type(value) is dict:
            return self._named(value)
        return [self._within(member) for member in value] if type(value) is list else value

    def _value(self, value: Any, *, is_id: bool) -> Any:
        if isinstance(value, str):
            address = self._addresses.clean(value) if self._addresses and value[:4] in _HTTP else ""
            return address or (self._text(value, is_id=is_id) if self._reads else value)
        if isinstance(value, dict):
            return self.members(value)
        if isinstance(value, list):
            return [self._value(member, is_id=is_id) for member in value]
        # A float has no such digits.
        if self._reads and isinstance(value, int) and value >= _LONG_NUMBER:
            text = str(value)
            return value if self._text(text, is_id=is_id) is text else _REDACTED
        return value

    def _text(self, text: str, *, is_id: bool = False) -> str:
        shape = shape_of(text, self._effort, is_id=is_id) if self._reads else None
        if shape is None:
            return text
        self._removed.append(shape)
        return _REDACTED
