"""Ledger, dead letters and suppressions of a shared queue, from one proxy or from another on the same database."""

from collections.abc import AsyncIterator, Collection, Sequence

import pytest
from clock import NOON, Clock
from postgres_server import Cluster
from support import PIXEL, SECRET

from proxy.model.event import BrowserCopy
from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.model.suppression import SuppressionKind
from proxy.model.units import DAY_MS
from proxy.queue.codec import unpack
from proxy.queue.contract import Filter, NewDeadLetter
from proxy.queue.group import sealed_segment
from proxy.queue.keys import event_key
from proxy.queue.postgres.archive import SharedArchive
from proxy.queue.postgres.books_reader import BooksReader
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.ledger import SharedLedger
from proxy.queue.postgres.opening import make_database
from proxy.queue.postgres.segment_table import INSERT, columns, row_of
from proxy.queue.postgres.settling import DeadLetterStore
from proxy.queue.postgres.suppressions import SharedSuppressions
from proxy.queue.postgres.transaction import Run
from proxy.queue.seal import Sealer

TODAY = NOON // DAY_MS
EVERYTHING = 100_000


def row(number: int, *, at: int = NOON, status: Status = Status.DELIVERED, visitor: bytes = b"") -> LedgerRow:
    return LedgerRow(at, PIXEL, "Lead", f"{at // DAY_MS - TODAY}:{number}", 1, status, visitor=visitor)


class Books:
    """Ledger, dead letters and suppressions of one proxy, and their reader."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.sealer = sealer = Sealer(SECRET)
        self.clock = clock
        self.database = database
        self.ledger = SharedLedger(database, sealer, clock, days=7)
        self.suppressions = SharedSuppressions()
        self.dead = SharedDeadLetters(sealer)
        self.graveyard = DeadLetterStore(self.dead, self.suppressions, clock)
        self.reader = BooksReader(database, self.ledger, self.dead)

    @property
    def archive(self) -> SharedArchive:
        """Return what the operator of this proxy sees."""
        return SharedArchive(
            self.database,
            self.sealer,
            ledger=self.ledger,
            dead=self.dead,
            suppress=self.suppress,
            now=self.clock,
        )

    async def suppress(self, person_digests: Collection[bytes], kind: SuppressionKind, at: int) -> None:
        async def work(run: Run) -> None:
            await self.suppressions.add(run, person_digests, kind, at)

        await self.database.transact(Role.BOOKS, work)

    async def bury(self, *letters: NewDeadLetter) -> int:
        async def work(run: Run) -> int:
            return await self.graveyard.add_letters(run, letters)

        return await self.database.transact(Role.DELIVER, work)

    async def store(self, records: Sequence[Record], *, skip: Sequence[int] = ()) -> None:
        """Store records that wait in one segment, of which the positions in ``skip`` are repeats."""
        row = row_of(sealed_segment(records[0].pixel, records, 0, self.sealer), self.clock())
        await self.database.run(Role.BOOKS, INSERT, *columns([row]))
        change = "UPDATE segment SET skip = $2, n = n - cardinality($2::int2[]) WHERE id = $1"
        await self.database.run(Role.BOOKS, change, row.id, list(skip))

    async def waiting(self) -> list[list[Record]]:
        """Return the waiting records of each segment, without repeats."""
        rows = await self.database.run(Role.BOOKS, "SELECT lane, n, skip, sealed FROM segment ORDER BY lane, id")
        found = []
        for segment in rows:
            records = unpack(self.sealer.open(segment["sealed"], segment["lane"].encode()), segment["lane"])
            found.append([each for place, each in enumerate(records) if place not in (segment["skip"] or ())])
            assert len(found[-1]) == segment["n"]
        return found

    async def write(self, rows: Sequence[LedgerRow], *, again: bool = False) -> None:
        await self.ledger.ensure_tables(sorted(self.ledger.group_by_day(rows)))

        async def work(run: Run) -> None:
            await self.ledger.write(run, rows, again=again)

        await self.database.transact(Role.BOOKS, work)

    async def update(self, *updates: tuple[int, str, bytes, BrowserCopy]) -> None:
        keyed = [(at, event_key(PIXEL, "Lead", identity), visitor, copy) for at, identity, visitor, copy in updates]
        await self.ledger.ensure_tables({at // DAY_MS for at, *_ in updates})

        async def work(run: Run) -> None:
            await self.ledger.write(run, (), updates=keyed)

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
    assert books.database.is_here
    database = make_database(postgres.url(), Sealer(SECRET), schema=schema, commit_timeout=30.0)
    await database.start(patience=30.0)
    yield Books(database, clock)
    await database.close()
