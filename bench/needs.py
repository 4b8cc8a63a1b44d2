"""What a load needs: ten days of it, minute by minute, made of nothing but unit costs.

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
"""In minutes, as all times but those whose names end in S."""
_DAYS = 10
_SWING = 0.8
_CAMPAIGN, _CAMPAIGN_FACTOR = range(18 * 60, 18 * 60 + 10), 2.0
_OUTAGE = range(8 * _DAY + 15 * 60, 8 * _DAY + 21 * 60)
_SLOT, _SLOTS = 16 * 60, 4
_LEDGER_DAYS = 7
_DRAIN = 2.0
"""To what comes in the busiest minute: what can be delivered in one."""
AWAY_S = 600
"""For so long the database may be away in the busiest minutes; the spool must hold it."""
GROUP_S = 0.005
"""What a proxy takes meanwhile shares a commit."""
MOST_GROUP = 200
_MANY_KEYS = 10_000_000
BUSY = 0.6
"""Of a core, at the most."""
GIVEN = 0.1
"""So many ids come from the page, such as those of orders; their keys are all over the duplicate memory."""
LANE_RATE = 25_000
"""Events a second that one leader delivers of a pixel."""
WAL_MB_S = 150
"""What one primary, its disk and its network bear for hours."""
SPARE_GB = 16
"""``max_wal_size`` of 8 GB, and as much for a standby that is away."""
CLASSES = ((2, 4), (2, 8), (4, 16), (8, 32), (16, 64), (32, 128), (64, 256))
"""Cores and memory in GB, as most providers offer them."""
PROXY_CORES = 4
FRONTS = 6
"""The most that one machine is given before a second one is better."""


def shape(minute: int) -> float:
    """Return the load of a minute to that of an average one."""
    load = 1 + _SWING * math.sin((minute % _DAY / _DAY - 0.5) * math.tau)
    return load * (_CAMPAIGN_FACTOR if minute % _DAY in _CAMPAIGN else 1)


PEAK = max(map(shape, range(_DAY)))
"""Of the busiest minute."""


@dataclass
class Stock:
    """The most events that ever rested in each part of the queue."""

    waiting: float = 0
    seen: float = 0
    ledger: float = 0
    drained_h: float = 0
    """How long after the outage the backlog was gone."""


def stock(a_day: float) -> Stock:
    """Let ten days pass under a load of so many events a day."""
    most = Stock()
    waiting = 0.0
    # A slot is emptied when its turn comes again, a day of the ledger when it is older than seven.
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
        """Simulate a load of so many events a day."""
        self.a_day = a_day
        self.peak = a_day / _DAY / 60 * PEAK
        """Events a second in the busiest minute."""
        self.stock = stock(a_day)
        self.ledger_gb = self.stock.ledger * costs.LEDGER.of() / 1e9
        """A ledger of seven days, in rows."""

    # -- one machine, SQLite

    @property
    def bounded_ledger_gb(self) -> float:
        """The ledger, when ``ledger_max_bytes`` is left as it is."""
        return min(self.ledger_gb, RetentionSettings().ledger_max_bytes / 1e9)

    @property
    def one_process(self) -> float:
        """Cores of a process that does everything."""
        return self._cores(costs.FRONT.of() + costs.SQLITE_STORE.of() + costs.SQLITE_DELIVER.of())

    @property
    def back(self) -> float:
        """Cores of the back process, of which there is one."""
        return self._cores(costs.BACK_STORE.of() + costs.SQLITE_DELIVER.of())

    @property
    def fronts(self) -> int:
        """Front processes beside it."""
        return math.ceil(self.front_cores / BUSY)

    @property
    def front_cores(self) -> float:
        """Cores of all front processes."""
        return self._cores(costs.FRONT.of() + costs.HAND_OVER.of())

    @property
    def sqlite_gb(self) -> float:
        """Size of the file, with the bounded ledger."""
        rest = self.stock.waiting * costs.SQLITE_WAITING.of() + self.stock.seen * costs.SQLITE_SEEN.of()
        return rest / 1e9 + self.bounded_ledger_gb

    # -- PostgreSQL

    @cached_property
    def proxies(self) -> int:
        """Machines of PROXY_CORES cores, of which one may be away; the more there are, the smaller are their groups."""
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
        """WAL that the primary writes, and each standby receives."""
        return self.peak * self._wal / 1e6

    @property
    def wal_gb_day(self) -> float:
        """WAL of a day."""
        return self.a_day * self._wal / 1e9

    @property
    def _wal(self) -> float:
        # Few keys lie close to each other all over the memory, and cost less.
        part = min(1.0, self.stock.seen / _MANY_KEYS)
        return costs.WAL.of(self.group) + costs.WAL_GIVEN.of() * GIVEN * part

    @property
    def tables_gb(self) -> float:
        """What all tables but the ledger take, on each server."""
        return (self.stock.waiting * costs.WAITING.of() + self.stock.seen * costs.SEEN.of()) / 1e9

    @property
    def disk_gb(self) -> float:
        """The disk of each server, with the bounded ledger."""
        return self.tables_gb + self.bounded_ledger_gb + SPARE_GB

    @property
    def memory_gb(self) -> float:
        """Memory: where the keys of given ids fall, what came in the last minute, and the system."""
        return 2 + (self.stock.seen * costs.SEEN.of() * GIVEN + self.peak * 60 * costs.WAITING.of()) / 1e9

    @property
    def spool_gb(self) -> float:
        """What each proxy keeps while the database is away."""
        return self.peak * AWAY_S * costs.WAITING.of() / 1e9 / self.proxies

    @property
    def leaders(self) -> int:
        """Leaders, if all events were of one pixel."""
        return math.ceil(self.peak / LANE_RATE)

    @property
    def shards(self) -> int:
        """Primaries: by their WAL, by their cores, by their memory."""
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
    """Return what a load needs whose busiest minute has so many events a second."""
    return Needs(rate / PEAK * _DAY * 60)
