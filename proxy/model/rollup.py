"""Rollups: finished events counted by hour and kind, so that no chart ever reads the ledger itself.

They hold no personal data and no id, and are kept for 400 days.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from proxy.model.ledger import LedgerRow, Status
from proxy.model.units import HOUR_MS

LAG_BOUNDS_MS: Final = (
    *(100, 250, 500, 1000, 2500, 5000, 15_000, 60_000),
    *(300_000, 900_000, 3_600_000, 21_600_000, 86_400_000),
)
"""Upper ends of the slots of ``Rollup.lag``; a last slot holds what took longer."""
LAG_SLOTS: Final = len(LAG_BOUNDS_MS) + 1
OTHER: Final = "(other)"
"""Stands for all names, pixels or subjects beyond the bound on their number."""
_MOST_WORD = 60


class RollupKey(NamedTuple):
    """What the events of one rollup have in common."""

    hour: int
    """The hour in which they arrived: hours since 1970, UTC; for the sum of a day its first hour."""
    site: str
    pixel: str
    name: str
    status: Status
    reason: str
    browser_copy: str
    """A word of ``BrowserCopy``; empty if they came from a server."""


@dataclass(frozen=True, slots=True)
class Rollup:
    """How many events have a key, and the sums of their figures."""

    key: RollupKey
    events: int
    values: Mapping[str, tuple[int, int]]
    """By currency: how many events have a value, and the sum of their values in ten-thousandths."""
    match_keys: Mapping[str, int]
    """By match key: how many events carry it; no event carries a key that is missing here."""
    lag: tuple[int, ...]
    """How many events took how long from arrival to end: a slot for each of ``LAG_BOUNDS_MS``, and one for longer;
    empty if the times were not counted."""


@dataclass(frozen=True, slots=True)
class RollupQuery:
    """Which rollups to return; empty fields match all."""

    since_hour: int
    """The first hour of arrival: hours since 1970, UTC."""
    until_hour: int
    """The first hour after the period."""
    site: str = ""
    pixel: str = ""
    name: str = ""
    by_day: bool = False
    """Whether to return sums of whole days (UTC) instead of hours; the days in which the period begins and ends count
    whole."""


@dataclass(frozen=True, slots=True)
class Tally:
    """A count of something that has no ledger row, such as the requests of a refused origin."""

    hour: int
    """Hours since 1970, UTC."""
    kind: str
    subject: str
    count: int


def arrival_of(row: LedgerRow) -> int:
    """Return when the event of a row arrived; if that is not known, when it ended."""
    return row.arrived or row.at


def events_of(row: LedgerRow) -> int:
    """Return how many events a row stands for: a row of events for unlisted pixels may stand for many."""
    if row.status is Status.DROPPED and row.reason == "unknown_pixel" and row.findings:
        kind, _, count = row.findings[0].partition(":")
        if kind == "events" and count.isascii() and count.isdecimal():
            return int(count)
    return 1


def key_of(row: LedgerRow) -> RollupKey:
    """Return the key under which a row is counted, before the number of names is bounded.

    Senders may make up any number of unlisted pixels, and reasons of the form ``received …`` hold numbers that come
    from Graph: neither may lead to any number of keys.
    """
    is_unknown = row.status is Status.DROPPED and row.reason == "unknown_pixel"
    pixel = OTHER if is_unknown else row.pixel
    hour = arrival_of(row) // HOUR_MS
    return RollupKey(
        hour, row.facts.site, pixel, row.name, row.status, counted_reason(row.reason), row.browser_copy or ""
    )


def counted_reason(reason: str) -> str:
    """Return the reason under which a row is counted: one word for all ``received …``, else its beginning."""
    return "received_fewer" if reason.startswith("received ") else reason[:_MOST_WORD]
