"""Since when the oldest due events of a pixel wait; read on any connection to the file."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

import apsw

from proxy.queue.contract import Oldest

_ABOVE_ALL = 1 << 62


class _Lane(NamedTuple):
    """Events of a pixel with the same request fields and the same bound (``Segment.suspect``)."""

    pixel: str
    fields: bytes
    bound: int


def oldest(db: apsw.Connection, pixels: Collection[str], damaged: Collection[int]) -> dict[str, Oldest]:
    """Return by pixel since when its oldest events wait; held events do not count.

    Args:
        db: Any connection to the file.
        pixels: Their ids.
        damaged: Numbers of segments that are left out, since they were found damaged.
    """
    return {pixel: _oldest(db, pixel, damaged) for pixel in pixels}


def _oldest(db: apsw.Connection, pixel: str, damaged: Collection[int]) -> Oldest:
    fresh, suspect = [], []
    for fields in _fields(db, pixel):
        fresh.append(_arrival(db, _Lane(pixel, fields, 0), damaged))
        suspect += [_arrival(db, _Lane(pixel, fields, bound), damaged) for bound in _suspect_bounds(db, pixel, fields)]
    return Oldest(_least(fresh), _least(suspect))


def _least(arrivals: Iterable[int | None]) -> int | None:
    return min((at for at in arrivals if at is not None), default=None)


def _fields(db: apsw.Connection, pixel: str) -> Iterator[bytes]:
    """Yield the request fields that a pixel's events have; few, so the index is asked for each of them."""
    fields: Any = b""
    while fields is not None:
        yield fields
        sql = "SELECT min(fields) FROM segment WHERE not_before=0 AND pixel=? AND fields>?"
        fields = db.execute(sql, (pixel, fields)).fetchall()[0][0]


def _suspect_bounds(db: apsw.Connection, pixel: str, fields: bytes) -> Iterator[int]:
    """Yield the bounds that a pixel's suspects with these fields have; these are few, too."""
    bound: Any = _ABOVE_ALL
    while (bound := _next_bound(db, pixel, fields, bound)) is not None:
        if bound:
            yield int(bound)


def _next_bound(db: apsw.Connection, pixel: str, fields: bytes, above: int) -> Any:
    sql = "SELECT max(suspect) FROM segment WHERE not_before=0 AND pixel=? AND fields=? AND suspect<?"
    return db.execute(sql, (pixel, fields, above)).fetchall()[0][0]


def _arrival(db: apsw.Connection, lane: _Lane, damaged: Collection[int]) -> int | None:
    sql = "SELECT id, at FROM segment WHERE not_before=0 AND pixel=? AND fields=? AND suspect=? ORDER BY at"
    rows: Iterator[Any] = iter(db.execute(sql, lane))
    return next((at for number, at in rows if number not in damaged), None)
