"""Rollups added up: everything that figures need of a group of events, such as a period, a pixel, a name or a day.

Each row that the queue has added up for a period is added once: a row of a bucket to that bucket, a row of the whole
period to the cell of its site, pixel and name. Larger groups are made of the cells.
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
SALE_NAME = "Purchase"
"""The name whose values are added up in groups of several names: other events, such as views, are no sales."""


class Ending(NamedTuple):
    """How events ended, why, and the status of their browser copy."""

    status: Status
    reason: str
    browser_copy: str


class Cell(NamedTuple):
    """The finest group of events apart from their time."""

    site: str
    pixel: str
    name: str


@dataclass(slots=True)
class Sums:
    """A group of rollups, added up."""

    priced: str = SALE_NAME
    """The name whose values are added up."""
    counts: dict[tuple[Status, str, str], int] = field(default_factory=dict)
    """Events by ``Ending``."""
    page_keys: dict[str, int] = field(default_factory=dict)
    """How many delivered events of pages had each match key."""
    server_keys: dict[str, int] = field(default_factory=dict)
    """How many delivered events of servers had each match key."""
    lag: list[int] = field(default_factory=lambda: [0] * LAG_SLOTS)
    """The histogram of the lag of delivered events."""
    sold: Values = field(default_factory=dict)
    """The values of delivered events."""
    recovered: Values = field(default_factory=dict)
    """The values of events whose server copy reached Meta and whose browser copy was blocked."""

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
        """Add another group; its values only if they are of the same name (``priced``)."""
        _add_counts(self.counts, other.counts)
        _add_counts(self.page_keys, other.page_keys)
        _add_counts(self.server_keys, other.server_keys)
        self.lag = list(map(add, self.lag, other.lag))
        if self.priced == other.priced:
            _add_amounts(self.sold, other.sold)
            _add_amounts(self.recovered, other.recovered)

    @property
    def events(self) -> int:
        """How many events there are."""
        return sum(self.counts.values())

    def kinds(self) -> Iterable[tuple[Ending, int]]:
        """Yield each kind of ending with its number of events, except events of pixels that no site lists."""
        for where, events in self.counts.items():
            if (kind := Ending(*where)).reason != DropReason.UNKNOWN_PIXEL:
                yield kind, events

    def ended(self, status: Status) -> int:
        """Return how many events ended with a status."""
        return sum(events for where, events in self.counts.items() if where[0] is status)

    def delivered(self, *, by_servers: bool) -> int:
        """Return how many delivered events came from servers, or with ``by_servers`` False from pages."""
        return sum(
            events
            for kind, events in self.kinds()
            if kind.status is Status.DELIVERED and (kind.browser_copy == NO_COPY) is by_servers
        )


def sums_by_cell(rollups: Iterable[Rollup]) -> dict[Cell, Sums]:
    """Return rollups added up by site, pixel and name, each with the values of its own name."""
    cells: dict[Cell, Sums] = {}
    for rollup in rollups:
        cell = Cell(*rollup.key[1:4])
        sums = cells.get(cell)
        if sums is None:
            sums = cells[cell] = Sums(cell.name)
        sums.add(rollup)
    return cells


def sums_by_bucket(
    rollups: Iterable[Rollup], period: Period, spans: Iterable[HourSpan], priced: str = SALE_NAME
) -> dict[int, Sums]:
    """Return rollups added up by bucket of a period, in order; buckets without events are included.

    Args:
        rollups: The rollups to add up.
        period: Says when the buckets begin.
        spans: The hours of each bucket that is returned.
        priced: The name whose values are added up.
    """
    buckets = {period.bucket(span.since): Sums(priced) for span in spans}
    for rollup in rollups:
        buckets[period.bucket(rollup.key.hour)].add(rollup)
    return buckets


def merge_cells(parts: Iterable[Mapping[Cell, Sums]]) -> dict[Cell, Sums]:
    """Return the cells of several parts of a period, added up to those of the whole."""
    cells: dict[Cell, Sums] = {}
    for part in parts:
        for cell, sums in part.items():
            cells.setdefault(cell, Sums(cell.name)).merge(sums)
    return cells


def merge_sums(groups: Iterable[Sums], priced: str = SALE_NAME) -> Sums:
    """Return groups added up to one, with the values of the name ``priced``."""
    sums = Sums(priced)
    for group in groups:
        sums.merge(group)
    return sums


def sums_by_word(cells: Mapping[Cell, Sums], word: str, priced: str = "") -> dict[str, Sums]:
    """Return cells added up by one of their words.

    Args:
        cells: See ``sums_by_cell``.
        word: ``site``, ``pixel`` or ``name``.
        priced: The name whose values are added up; empty: the word of each group, if words are names.
    """
    groups: dict[str, Sums] = {}
    for cell, sums in cells.items():
        text = getattr(cell, word)
        groups.setdefault(text, Sums(priced or text)).merge(sums)
    return groups


def largest_groups(groups: Mapping[str, Sums], most: int) -> dict[str, Sums]:
    """Return the groups with the most events, and one for all others, so that made-up words cannot fill an answer.

    Args:
        groups: The groups by their word.
        most: How many groups are returned at most, including that of the others, in which no values are added up.
    """
    order = _largest_first(groups)
    if len(order) <= most:
        return {word: groups[word] for word in order}
    listed = {word: groups[word] for word in [word for word in order if word != OTHER][: most - 1]}
    listed[OTHER] = merge_sums((groups[word] for word in order if word not in listed), OTHER)
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
