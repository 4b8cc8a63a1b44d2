"""What a load needs: ten days of it are simulated minute by minute, from the unit costs alone.

The load rises and falls with the day, and once a day, in its busiest hour, a campaign doubles it for ten minutes. On
the ninth day Graph does not answer for six hours around that moment. ``sizing.py`` makes tables of it.
"""

import math
from collections import deque
from dataclasses import dataclass
from functools import cached_property

import unit_costs as costs
from rig import ROOT  # noqa: F401 - rig finds the proxy

from proxy.config.schema import RetentionSettings

_DAY = 24 * 60
"""A day in minutes, as are all times except those whose names end in S."""
_DAYS = 10
_SWING = 0.8
_CAMPAIGN, _CAMPAIGN_FACTOR = range(18 * 60, 18 * 60 + 10), 2.0
_OUTAGE = range(8 * _DAY + 15 * 60, 8 * _DAY + 21 * 60)
_SLOT, _SLOTS = 16 * 60, 4
_LEDGER_DAYS = 7
_DRAIN = 2.0
"""What can be delivered in a minute, relative to the arrivals of the busiest minute."""
AWAY_S = 600
"""How many seconds the database may be away in the busiest minutes; the spool must hold what arrives meanwhile."""
GROUP_S = 0.005
"""The events that a proxy takes within this many seconds share a commit."""
MOST_GROUP = 200
_MANY_KEYS = 10_000_000
BUSY = 0.6
"""The most that a core may be used: 60 %."""
GIVEN = 0.1
"""The share of ids that come from the page, such as order numbers; their keys are spread over the duplicate memory."""
LANE_RATE = 25_000
"""Events a second that the leader of a pixel can deliver."""
WAL_MB_S = 150
"""MB a second of WAL that one primary, its disk and its network can bear for hours."""
SPARE_GB = 16
"""GB of disk for a ``max_wal_size`` of 8 GB, and as much again for a standby that is away."""
CLASSES = ((2, 4), (2, 8), (4, 16), (8, 32), (16, 64), (32, 128), (64, 256))
"""Cores and memory in GB, as most providers offer them."""
PROXY_CORES = 4
FRONTS = 6
"""The most front processes on one machine; beyond that a second machine is better."""


def shape(minute: int) -> float:
    """Return the load of a minute, relative to that of an average minute."""
    load = 1 + _SWING * math.sin((minute % _DAY / _DAY - 0.5) * math.tau)
    return load * (_CAMPAIGN_FACTOR if minute % _DAY in _CAMPAIGN else 1)


PEAK = max(map(shape, range(_DAY)))
"""The load of the busiest minute, relative to that of an average minute."""


@dataclass
class Stock:
    """The largest number of events that each part of the queue ever held."""

    waiting: float = 0
    seen: float = 0
    ledger: float = 0
    drained_h: float = 0
    """How many hours after the outage events were still waiting."""


def stock(a_day: float) -> Stock:
    """Simulate ten days under a load of ``a_day`` events a day."""
    most = Stock()
    waiting = 0.0
    # A slot of the duplicate memory is emptied when its turn comes again; a ledger day when it is older than seven
    # days.
    seen: deque[float] = deque(maxlen=_SLOTS)
    ledger: deque[float] = deque(maxlen=_LEDGER_DAYS + 1)
    for minute in range(_DAYS * _DAY):
        if minute % _SLOT == 0:
            seen.append(0)
        if minute % _DAY == 0:
            ledger.append(0)
        arrived = a_day / _DAY * shape(minute)
        delivered = 0 if minute in _OUTAGE else min(waiting + arrived, a_day / _DAY * PEAK * _DRAIN)
        waiting += arrived - delivered
        seen[-1] += arrived
        ledger[-1] += delivered
        most.waiting = max(most.waiting, waiting)
        most.seen, most.ledger = max(most.seen, sum(seen)), max(most.ledger, sum(ledger))
        if waiting > 1 and minute >= _OUTAGE.stop:
            most.drained_h = (minute - _OUTAGE.stop + 1) / 60
    return most


class Needs:
    """What a load needs at its worst moment: cores, megabytes a second, gigabytes."""

    def __init__(self, a_day: float) -> None:
        """Simulate a load of ``a_day`` events a day."""
        self.a_day = a_day
        self.peak = a_day / _DAY / 60 * PEAK
        """Events a second in the busiest minute."""
        self.stock = stock(a_day)
        self.ledger_gb = self.stock.ledger * costs.LEDGER.of() / 1e9
        """GB of a ledger of seven days."""

    # -- one machine, SQLite

    @property
    def bounded_ledger_gb(self) -> float:
        """GB of the ledger, when ``ledger_max_bytes`` has its default."""
        return min(self.ledger_gb, RetentionSettings().ledger_max_bytes / 1e9)

    @property
    def one_process(self) -> float:
        """Cores of a process that does everything."""
        return self._cores(costs.FRONT.of() + costs.SQLITE_STORE.of() + costs.SQLITE_DELIVER.of())

    @property
    def back(self) -> float:
        """Cores of the one back process."""
        return self._cores(costs.BACK_STORE.of() + costs.SQLITE_DELIVER.of())

    @property
    def fronts(self) -> int:
        """How many front processes there are."""
        return math.ceil(self.front_cores / BUSY)

    @property
    def front_cores(self) -> float:
        """Cores of all front processes."""
        return self._cores(costs.FRONT.of() + costs.HAND_OVER.of())

    @property
    def sqlite_gb(self) -> float:
        """GB of the database file, with the bounded ledger."""
        rest = self.stock.waiting * costs.SQLITE_WAITING.of() + self.stock.seen * costs.SQLITE_SEEN.of()
        return rest / 1e9 + self.bounded_ledger_gb

    # -- PostgreSQL

    @cached_property
    def proxies(self) -> int:
        """Machines of PROXY_CORES cores each, of which one may be away.

        The more machines there are, the fewer events share a commit, and the more processor time an event costs.
        """
        count = 2
        while self._proxy_cores(count) > min(count * BUSY, count - 1) * PROXY_CORES:
            count = max(count + 1, math.ceil(self._proxy_cores(count) / (PROXY_CORES * BUSY)))
        return count

    def _proxy_cores(self, count: int) -> float:
        store = costs.POSTGRES_STORE.of(self._group(count))
        return self._cores(costs.FRONT.of() + store + costs.POSTGRES_DELIVER.of())

    def _group(self, proxies: int) -> float:
        return min(MOST_GROUP, max(1.0, self.peak / proxies * GROUP_S))

    @property
    def group(self) -> float:
        """Events that share a commit."""
        return self._group(self.proxies)

    @property
    def proxy_cores(self) -> float:
        """Cores of all proxies together."""
        return self._proxy_cores(self.proxies)

    @property
    def primary_cores(self) -> float:
        """Cores of the primary."""
        return self._cores(costs.PRIMARY_STORE.of(self.group) + costs.PRIMARY_DELIVER.of())

    @property
    def standby_cores(self) -> float:
        """Cores of each standby."""
        return self._cores(costs.STANDBY.of(self.group))

    @property
    def wal_mb_s(self) -> float:
        """MB a second of WAL that the primary writes and each standby receives."""
        return self.peak * self._wal / 1e6

    @property
    def wal_gb_day(self) -> float:
        """GB of WAL that the primary writes in a day."""
        return self.a_day * self._wal / 1e9

    @property
    def _wal(self) -> float:
        # With few keys many of them share a page of the duplicate memory, which costs less WAL.
        part = min(1.0, self.stock.seen / _MANY_KEYS)
        return costs.WAL.of(self.group) + costs.WAL_GIVEN.of() * GIVEN * part

    @property
    def tables_gb(self) -> float:
        """GB of all tables except the ledger, on each server."""
        return (self.stock.waiting * costs.WAITING.of() + self.stock.seen * costs.SEEN.of()) / 1e9

    @property
    def disk_gb(self) -> float:
        """GB of disk of each server, with the bounded ledger."""
        return self.tables_gb + self.bounded_ledger_gb + SPARE_GB

    @property
    def memory_gb(self) -> float:
        """GB of memory: for page-given ids in the duplicate memory, for the last minute's events, for the system."""
        return 2 + (self.stock.seen * costs.SEEN.of() * GIVEN + self.peak * 60 * costs.WAITING.of()) / 1e9

    @property
    def spool_gb(self) -> float:
        """GB that each proxy's spool holds while the database is away."""
        return self.peak * AWAY_S * costs.WAITING.of() / 1e9 / self.proxies

    @property
    def leaders(self) -> int:
        """How many leaders it takes if all events are of one pixel."""
        return math.ceil(self.peak / LANE_RATE)

    @property
    def shards(self) -> int:
        """How many primaries it takes for the WAL, for the processor time and for the memory."""
        cores, memory = CLASSES[-1]
        return math.ceil(max(self.wal_mb_s / WAL_MB_S, self.primary_cores / BUSY / cores, self.memory_gb / memory))

    @property
    def size(self) -> tuple[int, int]:
        """Cores and memory of each primary, and of each standby."""
        cores, memory = (part / self.shards for part in (self.primary_cores / BUSY, self.memory_gb))
        return next((each for each in CLASSES if each[0] >= cores and each[1] >= memory), CLASSES[-1])

    def _cores(self, us: float) -> float:
        return self.peak * us / 1e6


def of_peak(rate: float) -> Needs:
    """Return what a load needs that has ``rate`` events a second in its busiest minute."""
    return Needs(rate / PEAK * _DAY * 60)
