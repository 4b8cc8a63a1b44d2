"""Filtered pages of the ledger by arrival, newest first; for each page a bounded number of rows is looked at.

The rows of all days are read through the index of their arrival, one stretch of time after another, each with a
bounded number of rows. Hours in which rollups count no wanted event are skipped, so that a few events among millions
are found at once. Events with given ids are found through an index of ids.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import apsw

from proxy.model.event import BrowserCopy
from proxy.model.ledger import LedgerRow, Status
from proxy.model.rollup import arrival_of
from proxy.model.units import DAY_MS, HOUR_MS
from proxy.queue.contract import FROM_SERVER, MOST_IDS, EventPage, Filter
from proxy.queue.rollup_counts import UNDECIDED
from proxy.queue.search_hours import kinds_of
from proxy.queue.sqlite.copy_updates import rows_with_copy_status
from proxy.queue.sqlite.ledger_rows import ARRIVED, COLUMNS
from proxy.queue.sqlite.ledger_tables import LEDGER, day_tables, days_of, row_where
from proxy.queue.sqlite.rollup_pages import hours_with

STRETCH, INDEXED_STRETCH = 2000, 10_000
"""Most rows of a table in one stretch; the second applies if the index itself tells which rows are not wanted, so that
these are not read."""
STRETCHES = 8
"""Most stretches that are looked at for a page."""
_ABOVE_ALL = (1 << 62) - 1


class EventCursor(NamedTuple):
    """The row after which a page begins: when it arrived, and its rowid."""

    time: int
    number: int

    def __str__(self) -> str:
        """Return the cursor in the form of ``Filter.below``."""
        return f"{self.time}-{self.number}"


def cursor_of(text: str) -> EventCursor | None:
    """Return the cursor in a text: an empty text means the page with the newest row; None if the text is no cursor."""
    if not text:
        return EventCursor(_ABOVE_ALL, _ABOVE_ALL)
    time, _, number = text.partition("-")
    if not (len(text) < 40 and time.isascii() and time.isdecimal() and number.isascii() and number.isdecimal()):
        return None
    return EventCursor(int(time), int(number)) if max(int(time), int(number)) <= _ABOVE_ALL else None


class _FoundRow(NamedTuple):
    """A row that was found."""

    place: EventCursor
    row: LedgerRow


class EventPages:
    """Reads on a connection it does not own, within one transaction: it looks up the tables when it is made."""

    def __init__(self, db: apsw.Connection, first_number: int, counted_from: int) -> None:
        """Look up which tables there are.

        Args:
            db: The connection, in the transaction of the page.
            first_number: See ``row_of``.
            counted_from: Rollups count every event that arrived at this moment (milliseconds) or later.
        """
        self._db = db
        self._first = first_number
        self._counted_from = counted_from
        self._tables = day_tables(db)
        self._days = days_of(self._tables, LEDGER)

    def page(self, wanted: Filter) -> EventPage:
        """Return a page of rows."""
        place = cursor_of(wanted.below)
        if place is None or not self._days or wanted.limit < 1:
            return EventPage(())
        if wanted.until_ms is not None:
            place = min(place, EventCursor(wanted.until_ms, 0))
        if wanted.ids or wanted.id:
            return _page(self._rows_of_ids(wanted, place), wanted.limit, None)
        found: list[_FoundRow] = []
        following: EventCursor | None = None
        for some, following in islice(self._stretches(wanted, place), STRETCHES):
            found += some
            if len(found) > wanted.limit or following is None:
                break
        return _page(found, wanted.limit, following)

    def _stretches(self, wanted: Filter, place: EventCursor) -> Iterator[tuple[list[_FoundRow], EventCursor | None]]:
        """Yield the wanted rows of each stretch, and where the next begins, if anywhere."""
        lowest = max(self._oldest(), wanted.since_ms or 0)
        for top, bottom in self._spans(wanted, place, lowest):
            at = min(place, EventCursor(top, _ABOVE_ALL))
            while at.time >= bottom:
                low = max(bottom, self._bottom(at, _stretch(wanted)))
                found = self._rows(wanted, at, low)
                at = EventCursor(low, 0)
                yield found, at
                if low == bottom:
                    break
        yield [], None

    def _spans(self, wanted: Filter, place: EventCursor, lowest: int) -> Iterator[tuple[int, int]]:
        """Yield the spans of time in which wanted rows may be, latest first, each with its last and its first moment.

        Before ``counted_from`` no hour is skipped, since rollups do not count everything there.
        """
        kinds = kinds_of(wanted)
        counted = max(lowest, self._counted_from) if kinds else _ABOVE_ALL
        if kinds:
            for hour in hours_with(self._db, kinds, counted // HOUR_MS, place.time // HOUR_MS):
                yield (hour + 1) * HOUR_MS - 1, max(hour * HOUR_MS, counted)
        if counted > lowest:
            yield counted - 1, lowest

    def _oldest(self) -> int:
        """Return when the oldest row arrived."""
        ends = " UNION ALL ".join(f"SELECT min({ARRIVED}) AS time FROM {LEDGER}_{day}" for day in self._days)  # noqa: S608 - our own names
        rows: list[Any] = self._db.execute(f"SELECT min(time) FROM ({ends})").fetchall()  # noqa: S608
        return int(rows[0][0] or 0)

    def _bottom(self, at: EventCursor, most: int) -> int:
        """Return at which arrival a stretch ends that begins at a place and has about ``most`` rows of each table."""
        found = 0
        for day in self._days:
            # The events of this day and of earlier ones arrived before they ended, so all of them are below.
            if found >= (day + 1) * DAY_MS:
                break
            table = f"{LEDGER}_{day}"
            sql = f"SELECT {ARRIVED} FROM {table} WHERE {ARRIVED}<=? ORDER BY {ARRIVED} DESC LIMIT 1 OFFSET {most}"  # noqa: S608 - our own names
            for (time,) in self._db.execute(sql, (at.time,)):
                found = max(found, int(str(time)))
        return found

    def _tables_since(self, moment: int) -> list[str]:
        """Return the tables that may hold rows of a moment of arrival or later; a table is for the day of the end."""
        return [f"{LEDGER}_{day}" for day in self._days if day >= moment // DAY_MS]

    def _rows(self, wanted: Filter, at: EventCursor, low: int) -> list[_FoundRow]:
        """Return the wanted rows from a place down to a moment: all of them, or more than a page may have."""
        condition, values = row_where(wanted)
        where = f"{ARRIVED}>=? AND {ARRIVED}<=? AND ({ARRIVED}<? OR rowid<?){_copy_where(wanted)}{condition}"
        most = STRETCH + 1 if wanted.browser_copy else wanted.limit + 1
        found: list[Any] = []
        for table in self._tables_since(low):
            sql = f"SELECT rowid, {COLUMNS} FROM {table} WHERE {where} ORDER BY {ARRIVED} DESC, rowid DESC LIMIT ?"  # noqa: S608
            found += self._db.execute(sql, (low, at.time, *at, *values, most)).fetchall()
        return self._chosen(found, wanted)

    def _rows_of_ids(self, wanted: Filter, place: EventCursor) -> list[_FoundRow]:
        condition, values = row_where(wanted)
        where = f"id=? AND {ARRIVED}<=? AND ({ARRIVED}<? OR rowid<?){_copy_where(wanted)}{condition}"
        most, found = wanted.limit + 1 if not wanted.browser_copy else STRETCH, list[Any]()
        for identity in wanted.ids[:MOST_IDS] or (wanted.id,):
            for table in self._tables_since(wanted.since_ms or 0):
                sql = f"SELECT rowid, {COLUMNS} FROM {table} WHERE {where} ORDER BY {ARRIVED} DESC, rowid DESC LIMIT ?"  # noqa: S608
                found += self._db.execute(sql, (identity, place.time, *place, *values, most)).fetchall()
        return self._chosen(found, wanted)

    def _chosen(self, read: Sequence[Any], wanted: Filter) -> list[_FoundRow]:
        """Return those rows whose browser copy is wanted, each with the latest status of the copy, newest first."""
        rows = rows_with_copy_status(self._db, self._tables, read, self._first)
        copy = "" if wanted.browser_copy == FROM_SERVER else wanted.browser_copy
        found = [
            _FoundRow(EventCursor(arrival_of(row), columns[0]), row)
            for row, columns in zip(rows, read, strict=True)
            if not wanted.browser_copy or (row.browser_copy or "") == copy
        ]
        return sorted(found, key=lambda each: each.place, reverse=True)


def _stretch(wanted: Filter) -> int:
    is_indexed = wanted.name or wanted.status not in {None, Status.DELIVERED}
    # With a filter by browser copy, updates must be looked up for each row, so fewer rows are read.
    return INDEXED_STRETCH if is_indexed and not wanted.browser_copy else STRETCH


def _copy_where(wanted: Filter) -> str:
    """Return the SQL condition that rows with a wanted browser copy meet before later updates are looked at."""
    if not wanted.browser_copy:
        return ""
    if wanted.browser_copy == FROM_SERVER:
        return " AND fate IS NULL"
    if wanted.browser_copy == BrowserCopy.FIRED:
        return " AND fate IS NOT NULL"
    undecided = ", ".join(f"'{each}'" for each in sorted(UNDECIDED))
    return f" AND fate IN ({undecided})"


def _page(found: Sequence[_FoundRow], limit: int, following: EventCursor | None) -> EventPage:
    """Return a page of at most ``limit`` of the found rows, and where the next page begins."""
    if len(found) > limit:
        following, found = found[limit - 1].place, found[:limit]
    return EventPage([each.row for each in found], str(following) if following else None)
