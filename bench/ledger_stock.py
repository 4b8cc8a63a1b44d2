"""Makes a large ledger with SQL: finished events of the last days, and rollups of the last 400, in either engine.

More than 250 lines: the same stock is written twice, in the tables of each engine.

The events are those of an ordinary shop: ten event names, nine in ten events delivered, and a quarter with a blocked
browser copy. Rows are inserted straight into the tables of a queue that was opened once before; apart from that, the
queue is the proxy's own.
"""

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import apsw
from rig import SECRET, PinnedMachine
from stock import queue_of, shared_queue_of

from proxy.model.event_facts import bits_of
from proxy.model.ledger import Status
from proxy.model.rollup import RollupKey
from proxy.model.units import DAY_MS, HOUR_MS
from proxy.queue.postgres import ledger_days
from proxy.queue.postgres.database import Role
from proxy.queue.postgres.opening import make_database
from proxy.queue.postgres.rollup_kinds import SharedKinds, kind_of, number_of
from proxy.queue.postgres.transaction import Run
from proxy.queue.rollup_counts import RollupShare, RollupSums
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.ledger_rows import INDEXES
from proxy.queue.sqlite.ledger_tables import LEDGER, creation, indexes

DAYS, ROLLUP_DAYS = 7, 400
PIXEL, SITE = "1001", "shop"
NAMES = (
    *(("PageView", 550), ("ViewContent", 250), ("AddToCart", 80), ("InitiateCheckout", 40), ("Purchase", 20)),
    *(("Lead", 20), ("Search", 20), ("CompleteRegistration", 10), ("Contact", 9), ("Schedule", 1)),
)
"""Each event name, with the number of events out of a thousand that have it."""
ENDS = (
    *((Status.DELIVERED, "", 900), (Status.DROPPED, "bot", 50), (Status.DROPPED, "no_consent", 20)),
    *((Status.DUPLICATE, "", 29), (Status.DEAD, "rejected", 1)),
)
COPIES = (("fired", 600), ("blocked", 250), ("pending", 150))
PURCHASE = "Purchase"
_MATCH_KEYS = bits_of(("em", "external_id", "fbp", "client_ip_address", "client_user_agent"))
_PARTS = 799_000
_FILL_S = 3600.0
# Pseudo-random numbers that are the same in both engines; name, end and browser copy of an event are independent.
_CHANCES = ("(i * 7919) % 1000", "(i * 104729 / 7) % 1000", "(i * 1299709 / 13) % 1000")


class _Kind(NamedTuple):
    """Events that the rollups count together, with their share of all events."""

    name: str
    status: Status
    reason: str
    browser_copy: str
    share: float


def _kinds() -> Iterator[_Kind]:
    for (name, named), (status, reason, ended), (copy, copied) in itertools.product(NAMES, ENDS, COPIES):
        yield _Kind(name, status, reason, copy, named * ended * copied / 1e9)


@dataclass(frozen=True)
class Stock:
    """The size of the ledger to make."""

    rows: int
    now: int
    """Server clock in milliseconds."""

    @property
    def per_hour(self) -> float:
        """Events in an hour."""
        return self.rows / DAYS / 24

    def day(self, back: int) -> tuple[int, int, int, int]:
        """Return about the day ``back`` days ago: its number, its first event, its events, its first arrival.

        The day counts from 1970, the event by number, and the arrival in milliseconds.
        """
        count = self.rows // DAYS
        return self.now // DAY_MS - back, (DAYS - 1 - back) * count, count, self._start(back)

    def _start(self, back: int) -> int:
        # Today's events arrived before now, those of other days are spread over the whole day.
        return self.now - self.now % DAY_MS - back * DAY_MS

    def spacing(self, back: int) -> float:
        """Return the milliseconds between two events of the day."""
        span = self.now % DAY_MS - 120_000 if not back else DAY_MS
        return max(1, span) / (self.rows // DAYS)

    def event(self, number: int) -> tuple[str, str]:
        """Return name and id of the event with this number."""
        name = next(name for name, bound in _bounds(NAMES) if number * 7919 % 1000 < bound)
        return name, f"order-{SITE}-{number}"


def _bounds(choices: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    sums = itertools.accumulate(share for _, share in choices)
    return zip((name for name, _ in choices), sums, strict=True)


def _case(chance: int, choices: Sequence[tuple[str, int]]) -> str:
    """Return SQL that chooses one of the texts by the event's number ``i``, each with its share of a thousand."""
    cases = [f"WHEN {_CHANCES[chance]} < {bound} THEN '{name}'" for name, bound in _bounds(choices)]
    return f"CASE {' '.join(cases)} END"


_NAME = _case(0, NAMES)
_STATUS = _case(1, [(status, share) for status, _, share in ENDS])
_REASON = _case(1, [(reason, share) for _, reason, share in ENDS])
_COPY = _case(2, COPIES)
_POSTGRES = """
INSERT INTO ledger_{day}(number, at, pixel, name, id, time_s, status, reason, fate, fbtrace_id, attempts, findings,
    copy, source, movable, arrived, site, match_keys, consent, consent_source, value, currency, message)
SELECT (at + 300) * 1000 + i % 1000, at + 300, '{pixel}', name, 'order-{site}-' || i, at / 1000, status, reason, copy,
    'AbCdEfGhIjKlMnOpQrStUv', 1, '', hashint8extended(i, 7), 'website',
    CASE WHEN copy <> 'fired' OR status = 'dead' THEN true END, at, '{site}', {match_keys}, 'granted', 'pixel',
    CASE WHEN name = 'Purchase' THEN {parts} END, CASE WHEN name = 'Purchase' THEN 'EUR' END,
    CASE WHEN status = 'dead' THEN 'Invalid parameter' END
FROM (SELECT i, ({start} + (i - {first}) * {spacing}::float8)::int8 AS at, {name} AS name, {status} AS status,
    {reason} AS reason, {copy} AS copy FROM generate_series({first}::int8, {first} + {count} - 1) i) made
"""
_SQLITE = """
INSERT INTO ledger_{day}(rowid, at, pixel, name, id, time_s, status, reason, fate, fbtrace_id, attempts, findings,
    total, copy, arrived, site, facts, error)
SELECT i + 1, at + 300, '{pixel}', name, 'order-{site}-' || i, at / 1000, status, reason, copy,
    'AbCdEfGhIjKlMnOpQrStUv', 1, '', (i - {first}) * 330, randomblob(8), at, '{site}',
    CASE WHEN name = 'Purchase' THEN '[{match_keys},"granted","pixel",[],{parts},"EUR"]'
    ELSE '[{match_keys},"granted","pixel",[],null,""]' END,
    CASE WHEN status = 'dead' THEN '[100,2804050,"Invalid parameter"]' END
FROM (SELECT i, CAST({start} + (i - {first}) * {spacing} AS INTEGER) AS at, {name} AS name, {status} AS status,
    {reason} AS reason, {copy} AS copy FROM (
      WITH RECURSIVE c(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM c WHERE i < {first} + {count} - 1)
      SELECT i FROM c))
"""


def _insertion(text: str, stock: Stock, back: int) -> str:
    day, first, count, start = stock.day(back)
    places = {"day": day, "first": first, "count": count, "start": start, "spacing": stock.spacing(back)}
    facts = {"pixel": PIXEL, "site": SITE, "match_keys": _MATCH_KEYS, "parts": _PARTS}
    return text.format(**places, **facts, name=_NAME, status=_STATUS, reason=_REASON, copy=_COPY)


# -- PostgreSQL

_HOURS = """
INSERT INTO rollup_hour(hour, kind, events, valued, amount, k0, k10, k11, k13, k14, l2, l3)
SELECT h, kind, n, valued, valued * {parts}::numeric, n, n, n, n, n, n - n / 4, n / 4
FROM generate_series({first}, {last}) h, unnest($1::int8[], $2::int8[], $3::int8[]) k(kind, n, valued) ORDER BY 1, 2
"""
_DAYS = """
INSERT INTO rollup_day(hour, kind, events, valued, amount, k0, k10, k11, k13, k14, l2, l3)
SELECT hour / 24 * 24, kind, sum(events), sum(valued), sum(amount), sum(k0), sum(k10), sum(k11), sum(k13), sum(k14),
    sum(l2), sum(l3)
FROM rollup_hour GROUP BY 1, 2 ORDER BY 1, 2
"""


async def fill_postgres(url: str, stock: Stock) -> None:
    """Fill the ledger of a database."""
    async with shared_queue_of(url):
        pass
    database = make_database(url, Sealer(SECRET))
    await database.start(patience=30.0)
    for back in reversed(range(DAYS)):
        await database.transact(Role.BOOKS, partial(_fill_day, stock, back), limit=_FILL_S)
    await database.transact(Role.BOOKS, partial(_rollups, stock), limit=_FILL_S)
    days = [f"ledger_{stock.day(back)[0]}" for back in range(DAYS)]
    for name in (*days, "rollup_hour", "rollup_day", "rollup_kind"):
        await database.run(Role.BOOKS, f"ANALYZE {name}", limit=_FILL_S)
    await database.close()


async def _fill_day(stock: Stock, back: int, run: Run) -> None:
    day = stock.day(back)[0]
    await ledger_days.create(run, day)
    # Building an index of existing rows takes less time than keeping it up to date during the insertion.
    for index in ("number", "id", "arrival", "status", "copy"):
        await run(f"DROP INDEX ledger_{day}_{index}")
    await run("SET LOCAL synchronous_commit = off")
    await run("SET LOCAL maintenance_work_mem = '256MB'")
    await run(_insertion(_POSTGRES, stock, back))
    await ledger_days.create(run, day)
    await ledger_days.add_columns(run, day)


async def _rollups(stock: Stock, run: Run) -> None:
    counted = []
    kinds = []
    for each in _kinds():
        events = round(each.share * stock.per_hour)
        if events:
            key = RollupKey(0, SITE, PIXEL, each.name, each.status, each.reason, each.browser_copy)
            kinds.append(kind_of(key, "EUR" if each.name == PURCHASE else ""))
            counted.append((number_of(kinds[-1]), events, events if each.name == PURCHASE else 0))
    await SharedKinds().add(run, kinds)
    last = stock.now // HOUR_MS
    hours = _HOURS.format(parts=_PARTS, first=last - ROLLUP_DAYS * 24 + 1, last=last)
    await run(hours, *map(list, zip(*counted, strict=True)))
    await run(_DAYS)


# -- SQLite


async def fill_sqlite(machine: PinnedMachine, stock: Stock) -> None:
    """Fill the ledger of a machine's SQLite file."""
    async with queue_of(machine.directory):
        pass
    _fill_file(machine.directory / "data" / "queue.db", stock)


def _fill_file(path: Path, stock: Stock) -> None:
    with closing(apsw.Connection(str(path))) as db:
        db.execute("PRAGMA synchronous=OFF; PRAGMA cache_size=-400000")
        for back in reversed(range(DAYS)):
            with db:
                name = f"{LEDGER}_{stock.day(back)[0]}"
                db.execute(creation(LEDGER, name))
                for index in INDEXES:
                    db.execute(f"DROP INDEX {name}_{index}")
                db.execute(_insertion(_SQLITE, stock, back))
                db.execute(indexes(name))
        with db:
            _file_rollups(db, stock)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _file_rollups(db: apsw.Connection, stock: Stock) -> None:
    last = stock.now // HOUR_MS
    for number, each in enumerate(_kinds(), 1):
        events = round(each.share * stock.per_hour)
        if not events:
            continue
        fields = (number, SITE, PIXEL, each.name, each.status, each.reason, each.browser_copy)
        db.execute("INSERT INTO rollup_kind VALUES(?, ?, ?, ?, ?, ?, ?)", fields)
        for table, count, times in (("rollup_hour", ROLLUP_DAYS * 24, 1), ("rollup_day", ROLLUP_DAYS, 24)):
            until = last if times == 1 else last // 24
            packed = _counts(events * times, each.name)
            rows = [(moment, number, events * times, packed) for moment in range(until - count + 1, until + 1)]
            db.executemany(f"INSERT INTO {table} VALUES(?, ?, ?, ?)", rows)


def _counts(events: int, name: str) -> bytes:
    counts = RollupSums()
    for slot, share in ((2, events - events // 4), (3, events // 4)):
        counts.add(RollupShare(share, _MATCH_KEYS, slot, None, ""))
    if name == PURCHASE:
        counts.values["EUR"] = (events, events * _PARTS)
    return counts.packed()


def made_at() -> int:
    """Return the server clock in milliseconds."""
    return time.time_ns() // 1_000_000
