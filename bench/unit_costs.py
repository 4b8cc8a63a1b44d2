"""What one event costs, as measured; ``sizing.py`` makes its tables of these numbers alone.

Processor time is in microseconds, space in bytes. Events that are stored together share a fixed cost: of a group of
``n`` events each costs ``each + together / n``.
"""

from typing import NamedTuple


class UnitCost(NamedTuple):
    """What an event costs in one place: processor time or space."""

    what: str
    unit: str
    each: float
    together: float
    """The cost of a whole group, however large it is, in addition to its events."""
    source: str
    """The program that measured it."""

    def of(self, group: float = 1) -> float:
        """Return the cost of an event in a group of ``group`` events."""
        return self.each + self.together / group


def _us(what: str, each: float, together: float, source: str) -> UnitCost:
    return UnitCost(what, "µs", each, together, source)


def _bytes(what: str, each: float, together: float, source: str) -> UnitCost:
    return UnitCost(what, "bytes", each, together, source)


_INGEST, _DELIVERY, _POSTGRES, _BACKLOG = "`ingest.py`", "`delivery.py`", "`postgres.py`", "`backlog.py`"
_WORKERS = "`workers.py`; 14 % of it was the back's"
_TRIAL = "a trial before it was built"

# -- the proxy
FRONT = _us("HTTP, rules and metrics", 255, 0, _INGEST)
SQLITE_STORE = _us("storing, SQLite", 43, 0, _POSTGRES)
SQLITE_DELIVER = _us("delivering, SQLite", 26, 0, _DELIVERY)
HAND_OVER = _us("storing with workers: a front's part", 5, 0, _WORKERS)
BACK_STORE = _us("storing with workers: the back's part", 40, 0, _WORKERS)
POSTGRES_STORE = _us("storing, PostgreSQL", 28, 584, _POSTGRES)
POSTGRES_DELIVER = _us("delivering, PostgreSQL", 40, 0, f"{_POSTGRES}, {_DELIVERY}")

# -- the servers
PRIMARY_STORE = _us("primary: storing", 29, 721, _POSTGRES)
PRIMARY_DELIVER = _us("primary: claim, settlement and ledger", 16, 0, _POSTGRES)
STANDBY = _us("each standby, all in all", 13, 167, _POSTGRES)

# -- space
WAL = _bytes("WAL, from the append to the ledger", 1710, 472, _POSTGRES)
WAL_GIVEN = _bytes("more WAL of an id that the page gave, at 10,000,000 keys", 5300, 0, _TRIAL)
WAITING = _bytes("a waiting event, PostgreSQL", 1200, 0, _POSTGRES)
SEEN = _bytes("duplicate memory, PostgreSQL", 85, 0, _POSTGRES)
LEDGER = _bytes("a row of the ledger", 380, 0, _POSTGRES)
SQLITE_WAITING = _bytes("a waiting event, SQLite", 1200, 0, _BACKLOG)
SQLITE_SEEN = _bytes("duplicate memory, SQLite", 40, 0, _BACKLOG)

ALL = (
    FRONT,
    SQLITE_STORE,
    SQLITE_DELIVER,
    HAND_OVER,
    BACK_STORE,
    POSTGRES_STORE,
    POSTGRES_DELIVER,
    PRIMARY_STORE,
    PRIMARY_DELIVER,
    STANDBY,
    WAL,
    WAL_GIVEN,
    WAITING,
    SEEN,
    LEDGER,
    SQLITE_WAITING,
    SQLITE_SEEN,
)
