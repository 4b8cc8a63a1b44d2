"""The books of a shared queue, as one proxy keeps them and as another on the same database does."""

from collections.abc import AsyncIterator, Sequence

import pytest
from clock import NOON, Clock
from postgres_server import Cluster
from support import PIXEL, SECRET

from proxy.model.event import BrowserCopy
from proxy.model.ledger import LedgerRow, Status
from proxy.model.units import DAY_MS
from proxy.queue.contract import Filter
from proxy.queue.keys import event_key
from proxy.queue.postgres.books_reader import BooksReader
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.ledger import SharedLedger
from proxy.queue.postgres.opening import make_database
from proxy.queue.postgres.transaction import Run
from proxy.queue.seal import Sealer

TODAY = NOON // DAY_MS
EVERYTHING = 100_000


def row(number: int, *, at: int = NOON, status: Status = Status.DELIVERED, visitor: bytes = b"") -> LedgerRow:
    return LedgerRow(at, PIXEL, "Lead", f"{at // DAY_MS - TODAY}:{number}", 1, status, visitor=visitor)


class Books:
    """One proxy's ledger and its reader."""

    def __init__(self, database: Database, clock: Clock) -> None:
        sealer = Sealer(SECRET)
        self.database = database
        self.ledger = SharedLedger(database, sealer, clock, days=7)
        self.reader = BooksReader(database, self.ledger, SharedDeadLetters(sealer))

    async def write(self, rows: Sequence[LedgerRow], *, again: bool = False) -> None:
        await self.ledger.make(sorted(self.ledger.of_days(rows)))

        async def work(run: Run) -> None:
            await self.ledger.write(run, rows, again=again)

        await self.database.transact(Role.BOOKS, work)

    async def update(self, *updates: tuple[int, str, bytes, BrowserCopy]) -> None:
        keyed = [(at, event_key(PIXEL, "Lead", identity), visitor, copy) for at, identity, visitor, copy in updates]
        await self.ledger.make({at // DAY_MS for at, *_ in updates})

        async def work(run: Run) -> None:
            await self.ledger.write_updates(run, keyed)

        await self.database.transact(Role.BOOKS, work)

    async def listed(self, wanted: Filter = Filter(limit=EVERYTHING)) -> list[LedgerRow]:  # noqa: B008 - frozen
        return [row async for row in self.reader.events(wanted)]

    async def ids(self, wanted: Filter = Filter(limit=EVERYTHING)) -> list[str]:  # noqa: B008 - frozen
        return [row.id for row in await self.listed(wanted)]


@pytest.fixture(name="books")
async def _books(database: Database, clock: Clock) -> Books:
    books = Books(database, clock)
    await books.ledger.prepare()
    return books


@pytest.fixture(name="other")
async def _other(postgres: Cluster, schema: str, clock: Clock, books: Books) -> AsyncIterator[Books]:
    """A second proxy on the same database."""
    assert books.database.here
    database = make_database(postgres.url(), Sealer(SECRET), schema=schema, commit_timeout=30.0)
    await database.start(patience=30.0)
    yield Books(database, clock)
    await database.close()
