"""The shared ledger: a finished event becomes a row in the table of its day.

Rows of a delivery are written by the transaction that settles it; all others by ``notes.py``, a batch at a time. The
rollups count the rows in the same transaction, at its end, since other transactions may have to wait for the rollup
rows that it changes (see also copy_moves.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import TypeAlias

from proxy.model.event import BrowserCopy
from proxy.model.ledger import LedgerRow
from proxy.model.record import Record
from proxy.model.rollup import arrival_of
from proxy.model.units import DAY_MS
from proxy.queue.contract import QueueError
from proxy.queue.postgres import ledger_days, ledger_rows
from proxy.queue.postgres.copy_moves import CopyMoves
from proxy.queue.postgres.copy_updates import latest_copies
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.errors import TableMissingError
from proxy.queue.postgres.ledger_days import UPDATES
from proxy.queue.postgres.rollup_changes import Changes, CountedRow
from proxy.queue.postgres.rollups import SharedRollups
from proxy.queue.postgres.transaction import Run
from proxy.queue.rollup_counts import UNDECIDED
from proxy.queue.rollup_counts import latest_copy_status as known_copy
from proxy.queue.seal import Sealer

CopyChange: TypeAlias = tuple[int, bytes, bytes, BrowserCopy]
"""When an update came, of which event key and visitor, the new status."""

_WRITE_UPDATES = """
INSERT INTO fate_{day}(key, fate) SELECT * FROM unnest($1::int8[], $2::text[])
ON CONFLICT (key) DO UPDATE SET fate = excluded.fate WHERE fate_{day}.fate <> 'fired'
"""
# Attempts to make a table: if two proxies make it at the same moment, one of them fails once.
_TRIES = 3


class SharedLedger:
    """Writes rows and updates of browser copies, and knows which day tables exist; one is shared by all writers."""

    def __init__(self, database: Database, sealer: Sealer, now: Callable[[], int], *, days: int) -> None:
        """Begin without any look at the database.

        Args:
            database: Where the tables are.
            sealer: Gives the key of ``copy_key``.
            now: The server's clock in milliseconds.
            days: How many days rows are kept; rows of earlier days are no longer written.
        """
        self._database = database
        self._secret = sealer.key("browser-copies")
        self._now = now
        self._days = days
        self._made: set[int] = set()
        # Days that have a table of updates, whichever version of the program made it; their tables of rows may still
        # lack columns, unlike those in _made.
        self._updated_days: set[int] = set()
        self._writers = 0
        self._rollups = SharedRollups()
        self._moves = CopyMoves()

    @property
    def is_writing(self) -> bool:
        """Whether rows that this process has begun to write may still become visible."""
        return self._writers > 0

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Tell readers that rows may become visible later than rows with larger numbers.

        To be held from before a transaction that writes rows until after its commit.
        """
        self._writers += 1
        try:
            yield
        finally:
            self._writers -= 1

    async def prepare(self) -> None:
        """Make the tables of today and tomorrow, where nobody has yet.

        Raises:
            QueueError: when they cannot be made.
        """
        today = self._now() // DAY_MS
        self._made = {day for day in self._made if day > today - self._days}
        await self.ensure_tables([today, today + 1])

    async def ensure_tables(self, days: Iterable[int]) -> None:
        """Make the tables of days, where they are not known to be there.

        Raises:
            QueueError: when they cannot be made.
        """
        for day in days:
            if day not in self._made:
                await self._create_tables(day)
                self._made.add(day)

    async def _create_tables(self, day: int) -> None:
        for attempt in range(_TRIES):
            try:
                await self._database.transact(Role.BOOKS, partial(ledger_days.create, day=day))
            except QueueError:
                if attempt == _TRIES - 1:
                    raise
            else:
                return

    def group_by_day(self, rows: Iterable[LedgerRow]) -> Mapping[int, Sequence[LedgerRow]]:
        """Return rows grouped by day, without those that the database cannot hold or whose day is no longer kept."""
        first = self._now() // DAY_MS - self._days + 1
        by_day = groupby(sorted(ledger_rows.writable(rows), key=_day), key=_day)
        return {day: list(some) for day, some in by_day if day >= first}

    def values(self, rows: Sequence[LedgerRow]) -> list[list[object]]:
        """Return the arguments of ``ledger_rows.insertion``."""
        return ledger_rows.values(rows, self._secret)

    async def with_known_copies(self, run: Run, rows: Iterable[LedgerRow]) -> list[LedgerRow]:
        """Return the rows, with the status that is known by now of browser copies that were undecided.

        Args:
            run: Runs statements.
            rows: Finished events.

        Raises:
            QueueError: when it could not be read.
        """
        known = list(rows)
        undecided = [place for place, row in enumerate(known) if row.browser_copy in UNDECIDED]
        if undecided:
            copies = [ledger_rows.row_number(known[place], self._secret) for place in undecided]
            since = min(arrival_of(known[place]) for place in undecided) // DAY_MS
            updates = await self._updates_since(run, since, copies)
            for place, copy in zip(undecided, copies, strict=True):
                if update := updates.get(copy):
                    browser_copy = known_copy(known[place].browser_copy, update)
                    known[place] = known[place]._replace(browser_copy=browser_copy)
        return known

    async def _updates_since(self, run: Run, since: int, copies: Sequence[int]) -> Mapping[int, BrowserCopy]:
        days = range(max(since, self._now() // DAY_MS - self._days), self._now() // DAY_MS + 1)
        if not self._updated_days.issuperset(days):
            self._updated_days = set(ledger_days.days_of(await ledger_days.day_tables(run), UPDATES))
        try:
            return await latest_copies(run, [day for day in days if day in self._updated_days], copies)
        except TableMissingError:
            self._updated_days = set()
            raise

    def plain_changes(self, rows: Sequence[LedgerRow], places: Sequence[int]) -> Changes | None:
        """Return the changes that rows make in the rollups; None where these need more than one statement.

        Args:
            rows: Finished events, which are written by ``values``.
            places: For each row, the place of the segment whose deletion it depends on; see settling.py.
        """
        return self._rollups.plain_changes([CountedRow(row, 1, place) for row, place in zip(rows, places, strict=True)])

    async def write(
        self, run: Run, rows: Iterable[LedgerRow], *, updates: Iterable[CopyChange] = (), again: bool = False
    ) -> None:
        """Add finished events and updates of browser copies within a transaction; their day tables must exist.

        Args:
            run: Runs statements of the transaction, of which these are the last.
            rows: Finished events.
            updates: The updates; of several about one copy the last counts.
            again: Whether the events may be there already, since an earlier answer was lost.

        Raises:
            QueueError: when they were not written.
        """
        written: list[LedgerRow] = []
        for day, some in self.group_by_day(await self.with_known_copies(run, rows)).items():
            with self._forget_if_dropped(day):
                new = await self._unknown(run, day, some) if again else some
                if new:
                    await run(ledger_rows.insertion(day), *self.values(new))
                written += new
        moved = await self._write_updates(run, updates)
        # All together, in the order of their keys: otherwise two transactions could deadlock.
        await self._rollups.count(run, [*map(CountedRow, written), *moved])

    async def _unknown(self, run: Run, day: int, rows: Sequence[LedgerRow]) -> Sequence[LedgerRow]:
        found = await run(ledger_rows.unknown_of(day), *self.values(rows))
        return [rows[row["ordinal"] - 1] for row in found]

    async def _write_updates(self, run: Run, updates: Iterable[CopyChange]) -> list[CountedRow]:
        by_day: dict[int, dict[int, str]] = {}
        for at, event, visitor, browser_copy in updates:
            number = ledger_rows.copy_number(event, visitor, self._secret)
            by_day.setdefault(at // DAY_MS, {})[number] = browser_copy.value
        first = self._now() // DAY_MS - self._days + 1
        written: set[int] = set()
        for day, some in sorted(by_day.items()):
            if day >= first:
                # In the order of the keys, so that two proxies never deadlock.
                keys = sorted(some)
                with self._forget_if_dropped(day):
                    await run(_WRITE_UPDATES.format(day=day), keys, [some[key] for key in keys])
                written.update(keys)
        return await self._moves.move(run, written)

    async def mark_letters_replayed(self, run: Run, records: Sequence[Record]) -> None:
        """Mark the rows of dead letters as replayed; the rollups no longer count them.

        Args:
            run: Runs statements of the transaction that puts them back, of which these are the last.
            records: The records of the dead letters.
        """
        copies = [ledger_rows.row_number(record, self._secret) for record in records]
        await self._rollups.count(run, await self._moves.mark_replayed(run, copies))

    async def reconcile(self, run: Run) -> bool:
        """Move, in a slice of rows, what overlapping transactions missed (copy_moves.py); tell if there may be more."""
        moved, more = await self._moves.reconcile(run)
        await self._rollups.count(run, moved)
        return more

    @contextmanager
    def _forget_if_dropped(self, day: int) -> Iterator[None]:
        """If the body finds the tables of a day dropped, forget that they exist, so that they are made next time."""
        try:
            yield
        except TableMissingError:
            self._made.discard(day)
            raise


def _day(row: LedgerRow) -> int:
    return row.at // DAY_MS
