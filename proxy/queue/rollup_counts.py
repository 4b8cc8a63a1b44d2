"""What rollups add up, for every engine: counted from ledger rows, written as few bytes, and added or taken back.

A stored rollup is the number of its events, and ``counts``: MessagePack of three lists. Values: for each currency how
many, and their sum. Match keys: how many events carry each, in the order of ``MATCH_KEYS``. Lag, the time from arrival
to end: how many events are in each slot. Zeros at the end of the last two lists are left out.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain, zip_longest
from typing import NamedTuple, Self

import msgspec

from proxy.model.event import BrowserCopy
from proxy.model.event_facts import MATCH_KEYS
from proxy.model.ledger import LedgerRow, Status
from proxy.model.rollup import LAG_BOUNDS_MS, LAG_SLOTS, Rollup, RollupKey, events_of, key_of
from proxy.model.units import HOUR_MS

_encode = msgspec.msgpack.Encoder().encode
_unpacked = msgspec.msgpack.Decoder(tuple[list[tuple[str, int, int]], list[int], list[int]]).decode
UNDECIDED = frozenset({BrowserCopy.PENDING, BrowserCopy.BLOCKED})
"""States of a browser copy that a later update may change; FIRED is final."""


class RollupShare(NamedTuple):
    """What one row adds to its rollup."""

    events: int
    match_keys: int
    """One bit for each match key that the event carries."""
    slot: int
    """The slot of the event's lag."""
    value: int | None
    currency: str


# The largest number that is stored: a sender of made-up values reaches it within minutes, and must not keep the events
# of others from being settled.
_MOST_SUM = (1 << 63) - 1
_ZEROS = (0,) * LAG_SLOTS
# What ``RollupShare(...)`` does, without the call of a function in Python.
_share_of = partial(tuple.__new__, RollupShare)


class RollupSums:
    """Sums of shares; a sum is negative if more was taken back than added."""

    __slots__ = ("events", "lag", "match_keys", "values")

    def __init__(self) -> None:
        self.events = 0
        self.values: dict[str, tuple[int, int]] = {}
        self.match_keys: Counter[int] = Counter()
        """By bit number."""
        self.lag = [0] * LAG_SLOTS

    def add(self, share: RollupShare, times: int = 1) -> None:
        """Add a share ``times`` times, or take it back with -1."""
        events, bits, slot, value, currency = share
        number = times * events
        self.events += number
        self.lag[slot] += number
        while bits:
            bit = bits & -bits
            self.match_keys[bit.bit_length() - 1] += number
            bits ^= bit
        if value is not None:
            count, total = self.values.get(currency, (0, 0))
            self.values[currency] = (count + times, total + times * value)

    def merge(self, other: Self) -> None:
        """Add the sums of another object."""
        self.events += other.events
        for bit, number in other.match_keys.items():
            self.match_keys[bit] += number
        self.lag = [mine + theirs for mine, theirs in zip(self.lag, other.lag, strict=True)]
        for currency, (count, total) in other.values.items():
            before = self.values.get(currency, (0, 0))
            self.values[currency] = (before[0] + count, before[1] + total)

    def packed(self) -> bytes:
        """Return all but the number of events as the bytes that are stored."""
        values = [
            (currency, count, max(-_MOST_SUM, min(total, _MOST_SUM)))
            for currency, (count, total) in sorted(self.values.items())
            if count or total
        ]
        keys = [self.match_keys[bit] for bit in range(len(MATCH_KEYS))]
        return _encode((values, _shortened(keys), _shortened(self.lag)))

    @classmethod
    def unpacked(cls, events: int, packed: bytes) -> Self:
        """Read what ``packed`` wrote."""
        counts = cls()
        counts.events = events
        values, keys, lag = _unpacked(packed)
        counts.values = {currency: (count, total) for currency, count, total in values}
        counts.match_keys = Counter(dict(enumerate(keys)))
        counts.lag[: len(lag)] = lag
        return counts


def rollup(key: RollupKey, events: int, packed: bytes) -> Rollup:
    """Return a rollup from its stored form.

    Args:
        key: What its events have in common.
        events: How many they are.
        packed: As ``RollupSums.packed`` wrote it.
    """
    values, keys, lag = _unpacked(packed)
    summed = {currency: (count, total) for currency, count, total in values} if values else {}
    return Rollup(key, events, summed, dict(zip(MATCH_KEYS, keys)), (*lag, *_ZEROS[len(lag) :]))  # noqa: B905 - shortened


def added_up(packed: Sequence[bytes]) -> tuple[dict[str, tuple[int, int]], dict[str, int], tuple[int, ...]]:
    """Add up the stored counts of many rollups; return values, match keys and lag in the form of ``Rollup``.

    The lag is empty if there are no counts.
    """
    if not packed:
        return {}, {}, ()
    some_values, some_keys, some_lags = zip(*map(_unpacked, packed), strict=True)
    values: dict[str, tuple[int, int]] = {}
    for currency, number, total in chain.from_iterable(some_values):
        before = values.get(currency, (0, 0))
        values[currency] = (before[0] + number, before[1] + total)
    keys = map(sum, zip_longest(*some_keys, fillvalue=0))
    lag = tuple(map(sum, zip_longest(*some_lags, fillvalue=0)))
    return values, dict(zip(MATCH_KEYS, keys)), (*lag, *_ZEROS[len(lag) :])  # noqa: B905 - shortened


def share_of(row: LedgerRow) -> RollupShare:
    """Return what a row adds to its rollup."""
    at, arrived, reason, facts = row.at, row.arrived, row.reason, row.facts
    events = events_of(row) if reason == "unknown_pixel" else 1
    slot = bisect_left(LAG_BOUNDS_MS, at - (arrived or at))
    return _share_of((events, facts.match_keys, slot, facts.value, facts.currency))


class RollupGroup(NamedTuple):
    """Ledger rows that are counted under the same key."""

    key: RollupKey
    """Has the event's own name: the number of different names is not bounded yet."""
    shares: Counter[RollupShare]
    """The different shares that the rows add, and how many rows add each."""
    undecided: list[tuple[RollupShare, int, bytes]]
    """The rows whose browser copy may still change: what each adds, when it ended, and its ``copy_key``."""


def grouped(rows: Iterable[tuple[LedgerRow, bytes]], updates: Mapping[bytes, BrowserCopy]) -> Iterable[RollupGroup]:
    """Return rows by their keys, without those that were replayed.

    Args:
        rows: The rows, each with its ``copy_key``.
        updates: What is known already of browser copies, by ``copy_key``.
    """
    groups: dict[tuple[object, ...], RollupGroup] = {}
    for row, copy in rows:
        if row.status is Status.REPLAYED:
            continue
        known = latest_copy_status(row.browser_copy, updates.get(copy)) if updates else row.browser_copy
        facts = row.facts
        # Nearly every row has the key of an earlier row of the transaction, so the key is made only for the first.
        alike = ((row.arrived or row.at) // HOUR_MS, facts.site, row.pixel, row.name, row.status, row.reason, known)
        if (group := groups.get(alike)) is None:
            key = key_of(row)._replace(browser_copy=known or "")
            group = groups[alike] = RollupGroup(key, Counter(), [])
        share = share_of(row)
        group.shares[share] += 1
        if known in UNDECIDED:
            group.undecided.append((share, row.at, copy))
    return groups.values()


def sums_by_key(rows: Iterable[LedgerRow]) -> dict[RollupKey, RollupSums]:
    """Add up rows by key: names are not bounded, and the status of browser copies is that in the rows."""
    sums: defaultdict[RollupKey, RollupSums] = defaultdict(RollupSums)
    for group in grouped(((row, b"") for row in rows), {}):
        for share, times in group.shares.items():
            sums[group.key].add(share, times)
    return sums


def latest_copy_status(browser_copy: BrowserCopy | None, update: BrowserCopy | None) -> BrowserCopy | None:
    """Return the status of a browser copy after an update, if any; FIRED is final, and None (no copy) stays."""
    return browser_copy if browser_copy is BrowserCopy.FIRED or browser_copy is None else update or browser_copy


def _shortened(numbers: Sequence[int]) -> Sequence[int]:
    end = len(numbers)
    while end and not numbers[end - 1]:
        end -= 1
    return numbers[:end]
