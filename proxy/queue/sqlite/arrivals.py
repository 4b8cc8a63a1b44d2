"""Since when events wait; read on any connection to the file."""

from collections.abc import Collection, Iterator
from typing import Any

import apsw

from proxy.queue.contract import Oldest

_ABOVE_ALL = 1 << 62


def oldest(db: apsw.Connection, pixels: Collection[str], damaged: Collection[int]) -> dict[str, Oldest]:
    """Return since when events of these pixels wait.

    Args:
        db: Any connection to the file.
        pixels: Their ids.
        damaged: Numbers of segments that are left out, since nobody can open them.
    """
    return {pixel: _oldest(db, pixel, damaged) for pixel in pixels}


def _oldest(db: apsw.Connection, pixel: str, damaged: Collection[int]) -> Oldest:
    arrivals = [_arrival(db, pixel, bound, damaged) for bound in _suspect_bounds(db, pixel)]
    return Oldest(_arrival(db, pixel, 0, damaged), min((at for at in arrivals if at is not None), default=None))


def _suspect_bounds(db: apsw.Connection, pixel: str) -> Iterator[int]:
    """Yield the bounds that suspects of a pixel have; few, so the index is asked for each of them."""
    bound: Any = _ABOVE_ALL
    while (bound := _next_bound(db, pixel, bound)) is not None:
        if bound:
            yield int(bound)


def _next_bound(db: apsw.Connection, pixel: str, above: int) -> Any:
    return db.execute("SELECT max(suspect) FROM segment WHERE pixel=? AND suspect<?", (pixel, above)).fetchall()[0][0]


def _arrival(db: apsw.Connection, pixel: str, bound: int, damaged: Collection[int]) -> int | None:
    sql = "SELECT id, at FROM segment WHERE pixel=? AND suspect=? ORDER BY at"
    rows: Iterator[Any] = iter(db.execute(sql, (pixel, bound)))
    return next((at for number, at in rows if number not in damaged), None)
