"""The shared ledger: what finished is written into the table of its day, within the transaction that ends it.

Rows of a delivery are written by the transaction that settles it; all others by ``notes.py``, a batch at a time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby

from proxy.model.event import BrowserCopy
from proxy.model.ledger import LedgerRow
from proxy.model.units import DAY_MS
from proxy.queue.contract import QueueError
from proxy.queue.postgres import ledger_days, ledger_rows
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.errors import TableMissingError
from proxy.queue.postgres.transaction import Run
from proxy.queue.seal import Sealer

_UPDATES = """
INSERT INTO fate_{day}(key, fate) SELECT * FROM unnest($1::int8[], $2::text[])
ON CONFLICT (key) DO UPDATE SET fate = excluded.fate
"""
# Two proxies that make a table at one moment hinder each other once.
_TRIES = 3


class SharedLedger:
    """Knows which day tables there are; safe to share between all that write rows."""

    def __init__(self, database: Database, sealer: Sealer, now: Callable[[], int], *, days: int) -> None:
        """Begin without any look at the database.

        Args:
            database: Where the tables are.
            sealer: Gives the key of ``copy_key``.
            now: The server's clock in milliseconds.
            days: How long rows stay; those of earlier days are not written any more.
        """
        self._database = database
        self._secret = sealer.key("browser-copies")
        self._now = now
        self._days = days
        self._made: set[int] = set()
        self._writers = 0

    @property
    def is_written(self) -> bool:
        """Whether a transaction of this process may be about to make rows visible."""
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
        await self.make([today, today + 1])

    async def make(self, days: Iterable[int]) -> None:
        """Make the tables of days, where they are not known to be there.

        Raises:
            QueueError: when they cannot be made.
        """
        for day in days:
            if day not in self._made:
                await self._make(day)
                self._made.add(day)

    async def _make(self, day: int) -> None:
        for attempt in range(_TRIES):
            try:
                await self._database.transact(Role.BOOKS, partial(ledger_days.create, day=day))
            except QueueError:
                if attempt == _TRIES - 1:
                    raise
            else:
                return

    def of_days(self, rows: Iterable[LedgerRow]) -> Mapping[int, Sequence[LedgerRow]]:
        """Return rows that can be written by the day of their table, without those whose day is over."""
        first = self._now() // DAY_MS - self._days + 1
        by_day = groupby(sorted(ledger_rows.writable(rows), key=_day), key=_day)
        return {day: list(some) for day, some in by_day if day >= first}

    def values(self, rows: Sequence[LedgerRow]) -> list[list[object]]:
        """Return the arguments of ``ledger_rows.insertion``."""
        return ledger_rows.values(rows, self._secret)

    async def write(self, run: Run, rows: Iterable[LedgerRow], *, again: bool = False) -> None:
        """Add finished events within a transaction, whose day tables are known to be there.

        Args:
            run: Runs statements of the transaction.
            rows: Finished events.
            again: They may be there already, as an answer was lost.

        Raises:
            QueueError: when they were not written.
        """
        for day, some in self.of_days(rows).items():
            condition = ledger_rows.unknown(day) if again else "true"
            with self._if_missing(day):
                await run(ledger_rows.insertion(day, condition=condition), *self.values(some))

    async def write_updates(self, run: Run, updates: Iterable[tuple[int, bytes, bytes, BrowserCopy]]) -> None:
        """Add updates of browser copies within a transaction; of several about one copy the last counts.

        Args:
            run: Runs statements of the transaction.
            updates: When they came, of which event key and visitor, the new status.

        Raises:
            QueueError: when they were not written.
        """
        by_day: dict[int, dict[int, str]] = {}
        for at, event, visitor, browser_copy in updates:
            number = ledger_rows.copy_number(event, visitor, self._secret)
            by_day.setdefault(at // DAY_MS, {})[number] = browser_copy.value
        first = self._now() // DAY_MS - self._days + 1
        for day, some in sorted(by_day.items()):
            if day >= first:
                # In the order of the keys, so that two proxies never wait for each other.
                keys = sorted(some)
                with self._if_missing(day):
                    await run(_UPDATES.format(day=day), keys, [some[key] for key in keys])

    @contextmanager
    def _if_missing(self, day: int) -> Iterator[None]:
        """Look again next time where somebody dropped the tables of a day."""
        try:
            yield
        except TableMissingError:
            self._made.discard(day)
            raise


def _day(row: LedgerRow) -> int:
    return row.at // DAY_MS
