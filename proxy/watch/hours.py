"""What the watch keeps of rollups: a few counts for each hour of five weeks. No I/O, no clock."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from proxy.model.event import BrowserCopy, DropReason
from proxy.model.ledger import REPEATS_SERVER, Status
from proxy.model.rollup import Rollup

WEEK: Final = 7 * 24
"""Hours."""
KEPT_HOURS: Final = 5 * WEEK


@dataclass(slots=True)
class Hour:
    """The events that arrived within an hour, as far as they have ended."""

    pages: Counter[str] = field(default_factory=Counter)
    """By site: all events of its pages, however they ended, except those of bots."""
    servers: Counter[str] = field(default_factory=Counter)
    """By site: all events of its servers, however they ended, except those of bots."""
    fired: Counter[str] = field(default_factory=Counter)
    """By site: the events, of those that were to be sent, whose browser copy fired; ``blocked`` likewise."""
    blocked: Counter[str] = field(default_factory=Counter)
    delivered: Counter[str] = field(default_factory=Counter)
    """By pixel; ``dead`` likewise."""
    dead: Counter[str] = field(default_factory=Counter)

    def add(self, rollup: Rollup) -> None:
        """Count a rollup of this hour."""
        key, events = rollup.key, rollup.events
        if key.reason != DropReason.BOT and not key.reason.startswith("bot:"):
            (self.pages if key.browser_copy else self.servers)[key.site] += events
        if key.status in {Status.DELIVERED, Status.DEAD}:
            (self.delivered if key.status is Status.DELIVERED else self.dead)[key.pixel] += events
        elif key.status is not Status.DUPLICATE or key.reason != REPEATS_SERVER:
            return
        if key.browser_copy == BrowserCopy.FIRED:
            self.fired[key.site] += events
        elif key.browser_copy == BrowserCopy.BLOCKED:
            self.blocked[key.site] += events


class Hours:
    """The hours of the last five weeks."""

    def __init__(self) -> None:
        self._hours: dict[int, Hour] = {}

    def replace(self, since: int, until: int, rollups: Sequence[Rollup]) -> None:
        """Replace what is known of some hours by what was read of them; forget hours older than five weeks.

        Args:
            since: The first hour: hours since 1970, UTC.
            until: The first hour that was not read.
            rollups: All rollups of these hours.
        """
        found: dict[int, Hour] = {}
        for rollup in rollups:
            found.setdefault(rollup.key.hour, Hour()).add(rollup)
        for hour in range(since, until):
            self._hours.pop(hour, None)
        self._hours |= found
        for hour in [hour for hour in self._hours if hour < until - KEPT_HOURS]:
            del self._hours[hour]

    def counts_of(self, hour: int) -> Hour:
        """Return the counts of an hour; empty ones when nothing is known of it."""
        return self._hours.get(hour) or Hour()

    def pages(self, site: str) -> Mapping[int, int]:
        """Return by hour how many events came from the pages of a site; hours without any are left out."""
        return {number: count for number, hour in self._hours.items() if (count := hour.pages[site])}

    def servers(self, site: str) -> Mapping[int, int]:
        """Return by hour how many events came from the servers of a site."""
        return {number: count for number, hour in self._hours.items() if (count := hour.servers[site])}

    def copies(self, site: str, hours: Iterable[int]) -> tuple[int, int]:
        """Return how many browser copies of a site fired in some hours, and how many were blocked."""
        found = [self._hours[hour] for hour in hours if hour in self._hours]
        return sum(hour.fired[site] for hour in found), sum(hour.blocked[site] for hour in found)

    def ended(self, pixel: str, hours: Iterable[int]) -> tuple[int, int]:
        """Return how many events of a pixel were delivered in some hours, and how many are dead letters."""
        found = [self._hours[hour] for hour in hours if hour in self._hours]
        return sum(hour.delivered[pixel] for hour in found), sum(hour.dead[pixel] for hour in found)
