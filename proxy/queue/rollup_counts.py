"""What rollups add up, for every engine: counted from ledger rows, written as few bytes, and added or taken back.

A rollup at rest is its events, and ``counts``: MessagePack of three lists. Of values: currency, how many, their sum. Of
match keys: how many carry each, in the order of ``MATCH_KEYS``. Of the lag: how many in each slot. Zeros at the end of
a list are left out.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

import msgspec

from proxy.model.event import BrowserCopy
from proxy.model.event_facts import MATCH_KEYS
from proxy.model.ledger import LedgerRow, Status
from proxy.model.rollup import LAG_SLOTS, Rollup, RollupKey, events_of, key_of, lag_slot

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[list[tuple[str, int, int]], list[int], list[int]]).decode
UNDECIDED = frozenset({BrowserCopy.PENDING, BrowserCopy.BLOCKED})
"""Browser copies of which later news may come; that a Pixel fired is final."""


class RollupShare(NamedTuple):
    """What one row adds to its rollup."""

    events: int
    match_keys: int
    """Bits."""
    slot: int
    """Of the lag."""
    value: int | None
    currency: str


class RollupSums:
    """Sums of shares; may be less than nothing where more is taken back than was added."""

    __slots__ = ("events", "lag", "match_keys", "values")

    def __init__(self) -> None:
        self.events = 0
        self.values: dict[str, tuple[int, int]] = {}
        self.match_keys: Counter[int] = Counter()
        """By bit number."""
        self.lag = [0] * LAG_SLOTS

    def add(self, share: RollupShare, sign: int = 1) -> None:
        """Add a share, or take it back with a ``sign`` of -1."""
        events, bits, slot, value, currency = share
        number = sign * events
        self.events += number
        self.lag[slot] += number
        while bits:
            bit = bits & -bits
            self.match_keys[bit.bit_length() - 1] += number
            bits ^= bit
        if value is not None:
            count, total = self.values.get(currency, (0, 0))
            self.values[currency] = (count + sign, total + sign * value)

    def merge(self, other: Self) -> None:
        """Add what others added up."""
        self.events += other.events
        for bit, number in other.match_keys.items():
            self.match_keys[bit] += number
        self.lag = [mine + theirs for mine, theirs in zip(self.lag, other.lag, strict=True)]
        for currency, (count, total) in other.values.items():
            before = self.values.get(currency, (0, 0))
            self.values[currency] = (before[0] + count, before[1] + total)

    def packed(self) -> bytes:
        """Return all but the events as they rest."""
        values = [(currency, *sums) for currency, sums in sorted(self.values.items()) if sums != (0, 0)]
        keys = [self.match_keys[bit] for bit in range(len(MATCH_KEYS))]
        return _encode((values, _shortened(keys), _shortened(self.lag)))

    @classmethod
    def unpacked(cls, events: int, packed: bytes) -> Self:
        """Read what ``packed`` wrote."""
        counts = cls()
        counts.events = events
        values, keys, lag = _decode(packed)
        counts.values = {currency: (count, total) for currency, count, total in values}
        counts.match_keys = Counter(dict(enumerate(keys)))
        counts.lag[: len(lag)] = lag
        return counts


def rollup(key: RollupKey, events: int, packed: bytes) -> Rollup:
    """Return a rollup from what rests of it.

    Args:
        key: What its events have in common.
        events: How many they are.
        packed: As ``RollupSums.packed`` wrote it.
    """
    values, keys, lag = _decode(packed)
    carried = {name: number for name, number in zip(MATCH_KEYS, keys, strict=False) if number}
    slots = (*lag, *(0,) * (LAG_SLOTS - len(lag)))
    return Rollup(key, events, {currency: (count, total) for currency, count, total in values}, carried, slots)


def share_of(row: LedgerRow) -> RollupShare:
    """Return what a row adds to its rollup."""
    facts = row.facts
    return RollupShare(events_of(row), facts.match_keys, lag_slot(row), facts.value, facts.currency)


def counted(rows: Iterable[LedgerRow]) -> dict[RollupKey, RollupSums]:
    """Return rows as rollups, with names that are not bounded, and browser copies as the rows say them."""
    deltas: dict[RollupKey, RollupSums] = {}
    for row in rows:
        if row.status is Status.REPLAYED:
            continue
        key = key_of(row)
        if (counts := deltas.get(key)) is None:
            counts = deltas[key] = RollupSums()
        counts.add(share_of(row))
    return deltas


def latest(browser_copy: BrowserCopy | None, update: BrowserCopy | None) -> BrowserCopy | None:
    """Return what is known of a browser copy after news of it."""
    return browser_copy if browser_copy is BrowserCopy.FIRED or browser_copy is None else update or browser_copy


def _shortened(numbers: Sequence[int]) -> Sequence[int]:
    end = len(numbers)
    while end and not numbers[end - 1]:
        end -= 1
    return numbers[:end]
