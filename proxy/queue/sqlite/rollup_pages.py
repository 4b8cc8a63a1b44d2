"""Reads of rollups, on the thread that reads."""

from array import array
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import apsw

from proxy.model.ledger import Status
from proxy.model.rollup import Rollup, RollupKey, RollupQuery
from proxy.queue.rollup_counts import rollup
from proxy.queue.sqlite.rollups import HOURS_OF_DAY

_KINDS = "SELECT id, site, pixel, name, status, reason, copy FROM rollup_kind WHERE status<>'replayed'"
_READ = "SELECT time, kind, events, counts FROM {} WHERE time>=? AND time<? AND events<>0 ORDER BY time, kind"
_COUNT = "SELECT kind, max(time), sum(events) FROM {} WHERE time>=? AND time<? AND events<>0 GROUP BY kind"
_COLUMNS = {"browser_copy": "copy"}
# What ``RollupKey(...)`` does, without the call of a function in Python: a year has thousands of them.
_key_of = partial(tuple.__new__, RollupKey)


def rollups(db: apsw.Connection, wanted: RollupQuery) -> list[Rollup]:
    """Return rollups of hours, or of days (under the first hour of each), ordered by time.

    Args:
        db: The connection.
        wanted: Which.
    """
    kinds = {number: key[1:] for number, key in kinds_of(db, wanted.site, wanted.pixel, wanted.name).items()}
    since, until, unit, table = _table(wanted)
    rows: list[Any] = db.execute(_READ.format(table), (since, until)).fetchall()
    return [
        rollup(_key_of((time * unit, *kinds[kind])), events, counts)
        for time, kind, events, counts in rows
        if kind in kinds
    ]


def event_counts(db: apsw.Connection, wanted: RollupQuery) -> list[Rollup]:
    """Return the number of events of each kind, with the last hour that has any.

    Args:
        db: The connection.
        wanted: Which.
    """
    kinds = kinds_of(db, wanted.site, wanted.pixel, wanted.name)
    since, until, unit, table = _table(wanted)
    rows: list[Any] = db.execute(_COUNT.format(table), (since, until)).fetchall()
    return [
        Rollup(kinds[kind]._replace(hour=last * unit), events, {}, {}, ())
        for kind, last, events in rows
        if kind in kinds
    ]


def kinds_of(db: apsw.Connection, site: str = "", pixel: str = "", name: str = "") -> dict[int, RollupKey]:
    """Return kinds of events by their numbers, as keys whose hour is always 0; empty texts match all.

    Args:
        db: The connection.
        site: Of a site.
        pixel: Of a pixel.
        name: Of events with a name.
    """
    texts = {column: text for column, text in (("site", site), ("pixel", pixel), ("name", name)) if text}
    condition = "".join(f" AND {column}=?" for column in texts)
    found: list[Any] = db.execute(_KINDS + condition, tuple(texts.values())).fetchall()
    return {
        number: RollupKey(0, site, pixel, name, Status(status), reason, copy)
        for number, site, pixel, name, status, reason, copy in found
    }


def _table(wanted: RollupQuery) -> tuple[int, int, int, str]:
    """Return the first time to read, the first time after the last one, the hours of one unit, and the table."""
    if not wanted.by_day:
        return wanted.since_hour, wanted.until_hour, 1, "rollup_hour"
    return wanted.since_hour // HOURS_OF_DAY, -(-wanted.until_hour // HOURS_OF_DAY), HOURS_OF_DAY, "rollup_day"


def hours_with(db: apsw.Connection, kinds: Mapping[str, Sequence[str]], since_hour: int, until_hour: int) -> list[int]:
    """Return the hours of arrival in which events of some kinds came, latest first.

    Args:
        db: The connection.
        kinds: Which; see ``search_hours.kinds_of``.
        since_hour: The first hour that is looked at.
        until_hour: The last one.
    """
    texts = [(_COLUMNS.get(field, field), accepted) for field, accepted in kinds.items()]
    condition = "".join(f" AND {column} IN ({', '.join('?' * len(accepted))})" for column, accepted in texts)
    values = [text for _, accepted in texts for text in accepted]
    found: list[Any] = db.execute(f"SELECT id FROM rollup_kind WHERE 1{condition}", values).fetchall()  # noqa: S608 - our own text
    if not found:
        return []
    sql = "SELECT DISTINCT time FROM rollup_hour WHERE time>=? AND time<=? AND events<>0 AND kind IN carray(?)"
    numbers = apsw.carray(array("q", [kind for (kind,) in found]))
    rows: list[Any] = db.execute(f"{sql} ORDER BY time DESC", (since_hour, until_hour, numbers)).fetchall()
    return [hour for (hour,) in rows]
