"""Rollups added up: everything that figures need of a group of them, be it a period, a pixel, a name or a day.

What a queue added up of a period is added once more and no more: that of buckets to its bucket, that of the whole to
its site, pixel and name, from which the larger groups are made.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import add
from typing import NamedTuple, TypeAlias, TypeVar

from proxy.figures.period import Period
from proxy.model.event import BrowserCopy, DropReason
from proxy.model.ledger import Status
from proxy.model.rollup import LAG_SLOTS, OTHER, Rollup
from proxy.model.rollup_sums import HourSpan, reached_meta

K = TypeVar("K")
Values: TypeAlias = dict[tuple[str, str], tuple[int, int]]
"""By pixel and currency: how many events had a value, and the sum of those in ten-thousandths."""

NO_COPY = ""
"""The browser copy of an event that a server brought."""
SOLD = "Purchase"
"""Whose values are added up where names are mixed: for a product that was only seen, nobody paid."""


class Ending(NamedTuple):
    """How events ended, why, and what became of their browser copy."""

    status: Status
    reason: str
    browser_copy: str


class Cell(NamedTuple):
    """The finest group that is not about time."""

    site: str
    pixel: str
    name: str


@dataclass(slots=True)
class Sums:
    """A group of rollups, added up."""

    priced: str = SOLD
    """The name whose values are added up."""
    counts: dict[tuple[Status, str, str], int] = field(default_factory=dict)
    """Events by ``Ending``."""
    page_keys: dict[str, int] = field(default_factory=dict)
    """How many delivered events of pages had each match key."""
    server_keys: dict[str, int] = field(default_factory=dict)
    """Likewise, of servers."""
    lag: list[int] = field(default_factory=lambda: [0] * LAG_SLOTS)
    """Of delivered events."""
    sold: Values = field(default_factory=dict)
    """Of delivered events."""
    recovered: Values = field(default_factory=dict)
    """Of those whose server copy reached Meta and whose browser copy was blocked."""

    def add(self, rollup: Rollup) -> None:
        """Add a rollup."""
        key = rollup.key
        kind = key[4:]
        self.counts[kind] = self.counts.get(kind, 0) + rollup.events
        if rollup.lag and key.status is Status.DELIVERED:
            _add_counts(self.page_keys if key.browser_copy else self.server_keys, rollup.match_keys)
            self.lag = list(map(add, self.lag, rollup.lag))
        if rollup.values and key.name == self.priced:
            self._add_values(rollup)

    def _add_values(self, rollup: Rollup) -> None:
        key = rollup.key
        values = {(key.pixel, currency): amount for currency, amount in rollup.values.items()}
        if key.status is Status.DELIVERED:
            _add_amounts(self.sold, values)
        if key.browser_copy == BrowserCopy.BLOCKED and reached_meta(key.status, key.reason):
            _add_amounts(self.recovered, values)

    def merge(self, other: "Sums") -> None:
        """Add another group, and its values where they are of the same name."""
        _add_counts(self.counts, other.counts)
        _add_counts(self.page_keys, other.page_keys)
        _add_counts(self.server_keys, other.server_keys)
        self.lag = list(map(add, self.lag, other.lag))
        if self.priced == other.priced:
            _add_amounts(self.sold, other.sold)
            _add_amounts(self.recovered, other.recovered)

    @property
    def events(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    def kinds(self) -> Iterable[tuple[Ending, int]]:
        """Yield how many events are of each kind, but for those of pixels that no site lists."""
        for where, events in self.counts.items():
            if (kind := Ending(*where)).reason != DropReason.UNKNOWN_PIXEL:
                yield kind, events

    def ended(self, status: Status) -> int:
        """Return how many ended so."""
        return sum(events for where, events in self.counts.items() if where[0] is status)

    def delivered(self, *, by_servers: bool) -> int:
        """Return how many events were delivered that servers brought, or pages."""
        return sum(
            events
            for kind, events in self.kinds()
            if kind.status is Status.DELIVERED and (kind.browser_copy == NO_COPY) is by_servers
        )


def by_cell(rollups: Iterable[Rollup]) -> dict[Cell, Sums]:
    """Return rollups added up by site, pixel and name, each with the values of its own name."""
    cells: dict[Cell, Sums] = {}
    for rollup in rollups:
        cell = Cell(*rollup.key[1:4])
        sums = cells.get(cell)
        if sums is None:
            sums = cells[cell] = Sums(cell.name)
        sums.add(rollup)
    return cells


def by_bucket(
    rollups: Iterable[Rollup], period: Period, spans: Iterable[HourSpan], priced: str = SOLD
) -> dict[int, Sums]:
    """Return rollups added up by bucket of a period, in their order, those without any event too.

    Args:
        rollups: What is added up.
        period: Where the buckets begin.
        spans: The hours of each bucket that is wanted.
        priced: The name whose values are added up.
    """
    buckets = {period.bucket(span.since): Sums(priced) for span in spans}
    for rollup in rollups:
        buckets[period.bucket(rollup.key.hour)].add(rollup)
    return buckets


def joined(parts: Iterable[Mapping[Cell, Sums]]) -> dict[Cell, Sums]:
    """Return the cells of several parts of a period as those of all of it."""
    cells: dict[Cell, Sums] = {}
    for part in parts:
        for cell, sums in part.items():
            cells.setdefault(cell, Sums(cell.name)).merge(sums)
    return cells


def merged(groups: Iterable[Sums], priced: str = SOLD) -> Sums:
    """Return groups added up, with the values of one name."""
    sums = Sums(priced)
    for group in groups:
        sums.merge(group)
    return sums


def by_word(cells: Mapping[Cell, Sums], word: str, priced: str = "") -> dict[str, Sums]:
    """Return cells added up by one of their words.

    Args:
        cells: See ``by_cell``.
        word: ``site``, ``pixel`` or ``name``.
        priced: The name whose values are added up; empty: each word is that of its group.
    """
    groups: dict[str, Sums] = {}
    for cell, sums in cells.items():
        text = getattr(cell, word)
        groups.setdefault(text, Sums(priced or text)).merge(sums)
    return groups


def largest(groups: Mapping[str, Sums], most: int) -> dict[str, Sums]:
    """Return the groups with the most events, and one for all others, so that made-up words cannot fill an answer.

    Args:
        groups: By word.
        most: How many at the most, that of the others included, whose values are added up for none.
    """
    order = _largest_first(groups)
    if len(order) <= most:
        return {word: groups[word] for word in order}
    listed = {word: groups[word] for word in [word for word in order if word != OTHER][: most - 1]}
    listed[OTHER] = merged((groups[word] for word in order if word not in listed), OTHER)
    return {word: listed[word] for word in _largest_first(listed)}


def _largest_first(groups: Mapping[str, Sums]) -> list[str]:
    return sorted(groups, key=lambda word: (-groups[word].events, word))


def _add_counts(sums: dict[K, int], counts: Mapping[K, int]) -> None:
    for what, count in counts.items():
        sums[what] = sums.get(what, 0) + count


def _add_amounts(sums: Values, amounts: Values) -> None:
    for what, (events, total) in amounts.items():
        before = sums.get(what, (0, 0))
        sums[what] = (before[0] + events, before[1] + total)
