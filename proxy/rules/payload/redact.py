"""Custom data: which of them may leave; blocked members are removed, and secrets are taken out of the rest.

No call raises, and cleaning what is clean changes nothing.
"""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any, NamedTuple

import orjson

from proxy.rules.effort import Effort, spend_on_odd_data
from proxy.rules.payload.addresses import KEY, AddressCleaner
from proxy.rules.payload.names import Allowed, is_blocked
from proxy.rules.payload.secret_shapes import SHORTEST, may_hold_shapes, shape_of
from proxy.rules.payload.shape_patterns import Shape, needs_a_look

_REDACTED = "[redacted]"
# Custom data that names goods and orders (Meta, custom data parameters, and what shops call the same).
_IDS = frozenset({
    "content_id", "content_ids", "ean", "gtin", "id", "ids", "isbn", "item_group_id", "item_id", "mpn", "order_id",
    "product_id", "product_ids", "sku", "transaction_id", "variant_id",
})  # fmt: skip
# Units of effort for an address, plus one for each 8 characters, plus those for the texts in it.
_ADDRESS = 40
_HTTP = frozenset(map("".join, product("Hh", "Tt", "Tt", "Pp")))
LONG_NUMBER = 10**13
"""The smallest number that is as long as that of a card; only such a number is read like a text."""


class CleanData(NamedTuple):
    """The custom data that may leave, and the reason for each removed part."""

    data: Mapping[str, Any]
    removed: tuple[str, ...] = ()
    written: bytes = b""
    """The data as JSON, if a first look showed that nothing had to be removed; else empty."""


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
    try:
        written = orjson.dumps(data)
    except TypeError:  # what cannot be written as JSON
        return _cleaned(data, _DataCleaner(allowed, effort))
    text = written.decode()
    if _holds_names_alone(text) and _may_stay(data, allowed, effort):
        return CleanData(data, (), written)
    # An escape in JSON changes which characters are neighbours, so the coarse look proves nothing there.
    reads = "\\" in text or may_hold_shapes(text)
    has_addresses = '"http' in text.lower()
    return _cleaned(data, _DataCleaner(allowed, effort, reads=reads, has_addresses=has_addresses))


def _cleaned(data: Mapping[str, Any], cleaner: "_DataCleaner") -> CleanData:
    clean = cleaner.members(data)
    spend_on_odd_data(cleaner.effort, len(data))
    return CleanData(clean, tuple(cleaner.removed))


def _holds_names_alone(text: str) -> bool:
    """Tell whether only the names in custom data, written as JSON, need a look, and no value does; so with most."""
    return not needs_a_look(text) and (text.isascii() or not may_hold_shapes(text))


def _may_stay(data: Mapping[str, Any], allowed: Allowed, effort: Effort) -> bool:
    """Tell whether no name is blocked, at any level."""
    if not allowed.members.issuperset(data) and any(is_blocked(name, allowed.block, effort) for name in data):
        return False
    return _may_all_stay(data.values(), allowed, effort)


def _may_all_stay(values: Iterable[Any], allowed: Allowed, effort: Effort) -> bool:
    for value in values:
        if type(value) is dict:
            if not _may_stay(value, allowed, effort):
                return False
        elif type(value) is list and not _may_all_stay(value, allowed, effort):
            return False
    return True


class _DataCleaner:
    """Goes through one event's data."""

    def __init__(self, allowed: Allowed, effort: Effort, *, reads: bool = True, has_addresses: bool = True) -> None:
        """Begin; ``reads`` is False if no text holds a shape, ``has_addresses`` is False if no value is an address."""
        self.removed: list[str] = []
        self._allowed = allowed
        self.effort = effort
        self._reads = reads
        self._has_addresses = has_addresses

    def members(self, data: Mapping[str, Any]) -> dict[str, Any]:
        usual = self._allowed.members
        clean = {}
        for name, value in data.items():
            public = name
            if name not in usual:  # a usual name is neither blocked nor a secret
                public = self._text(name) if self._reads and len(name) >= SHORTEST else name
                if is_blocked(public, self._allowed.block, self.effort):
                    self.removed.append(KEY)
                    continue
            kind = type(value)
            if kind is str:
                clean[public] = self._plain(value, is_id=name in _IDS) if len(value) >= SHORTEST else value
            elif kind is dict:
                clean[public] = self.members(value)
            elif kind is list:
                clean[public] = self._listed(value, is_id=name in _IDS)
            elif kind is int and value >= LONG_NUMBER:
                clean[public] = self._plain(value, is_id=name in _IDS)
            else:  # no digits of a float look like a number of anything
                clean[public] = value
        return clean

    def _listed(self, values: list[Any], *, is_id: bool) -> list[Any]:
        clean: list[Any] = []
        for value in values:
            if isinstance(value, dict):
                clean.append(self.members(value))
            elif isinstance(value, list):
                clean.append(self._listed(value, is_id=is_id))
            else:
                clean.append(self._plain(value, is_id=is_id))
        return clean

    def _plain(self, value: Any, *, is_id: bool) -> Any:
        if type(value) is str:
            address = self._address(value) if self._has_addresses and value[:4] in _HTTP else ""
            return address or (self._text(value, is_id=is_id) if self._reads else value)
        if self._reads and type(value) is int and value >= LONG_NUMBER:
            text = str(value)
            return value if self._text(text, is_id=is_id) is text else _REDACTED
        return value

    def _text(self, text: str, *, is_id: bool = False) -> str:
        shape = shape_of(text, self.effort, is_id=is_id)
        if shape is None:
            return text
        self.removed.append(shape)
        return _REDACTED

    def _address(self, text: str) -> str:
        """Return the part of an address that may leave, "" for no address; each text is read once, and costs effort."""
        effort, found = self.effort, self.effort.addresses.get(text)
        if found is None:
            effort.left -= _ADDRESS + len(text) // 8
            if effort.left < 0:
                self.removed.append(Shape.UNREAD)
                return _REDACTED
            removed: list[str] = []
            clean = AddressCleaner(self._allowed, effort, removed, reads=self._reads).clean(text)
            found = effort.addresses[text] = (clean, tuple(removed))
        self.removed += found[1]
        return found[0]
