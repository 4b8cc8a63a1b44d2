"""Notes on their way to the shared ledger: bounded, spooled while the database is away, and written once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from clock import NOON
from shared_books import EVERYTHING, TODAY, Books, row
from support import PIXEL, until

from proxy.model.event import BrowserCopy
from proxy.model.ledger import LedgerRow
from proxy.queue.contract import Filter, QueueError, QueueFullError
from proxy.queue.keys import event_key
from proxy.queue.notes import CopyUpdate, Notes
from proxy.queue.postgres.database import Role
from proxy.queue.postgres.errors import DatabaseAwayError
from proxy.queue.postgres.notes import SharedNotes
from proxy.queue.postgres.transaction import Run

STRANGER = b"evil"


async def owners(_run: Run, asked: Sequence[tuple[bytes, Sequence[bytes]]]) -> list[bytes | None]:
    """Let every visitor except the stranger be an event's owner."""
    return [None if visitors[0] == STRANGER else visitors[-1] for _, visitors in asked]


@asynccontextmanager
async def running(notes: SharedNotes) -> AsyncIterator[None]:
    task = asyncio.create_task(notes.run())
    try:
        yield
    finally:
        notes.close()
        await task


async def written(notes: SharedNotes) -> None:
    await until(lambda: not notes.waiting, what="all notes in the ledger")


def update(number: int, *visitors: bytes) -> CopyUpdate:
    return (NOON, event_key(PIXEL, "Lead", f"0:{number}"), visitors, BrowserCopy.FIRED)


async def test_notes_are_written_soon(books: Books) -> None:
    """Rows and updates are written in the background, each update for the visitor who owns the event."""
    notes = SharedNotes(books.database, books.ledger, owners)
    async with running(notes):
        notes.add(
            [row(1, visitor=b"anna"), row(2, visitor=b"anna")], [update(1, b"none", b"anna"), update(2, STRANGER)]
        )
        await written(notes)

    assert {each.id: each.browser_copy for each in await books.listed()} == {
        "0:1": BrowserCopy.FIRED,
        "0:2": BrowserCopy.PENDING,
    }
    assert (notes.foreign_updates, notes.lost) == (1, 0)


async def test_what_is_noted_last_is_written_on_stop(books: Books) -> None:
    """Closing writes all remaining notes."""
    notes = SharedNotes(books.database, books.ledger, owners)
    async with running(notes):
        notes.add([row(number) for number in range(2500)], [])
    assert len(await books.ids()) == 2500


class FailingTwice:
    """A database whose first two answers are lost, after or before the commit."""

    def __init__(self, books: Books, *, after_commit: bool) -> None:
        self._books = books
        self._after_commit = after_commit
        self.failures = 2

    def __getattr__(self, name: str) -> object:
        return getattr(self._books.database, name)

    async def transact(self, role: Role, work: Callable[[Run], Coroutine[Any, Any, int]]) -> int:
        fails, self.failures = self.failures > 0, self.failures - 1
        result = 0
        if not fails or self._after_commit:
            result = await self._books.database.transact(role, work)
        if fails:
            raise DatabaseAwayError("the answer was lost")
        return result


@pytest.mark.parametrize("after_commit", [True, False])
async def test_a_lost_answer_costs_no_row_and_makes_none_twice(books: Books, *, after_commit: bool) -> None:
    """A batch is in the ledger once, whether it was committed before its answer was lost or not."""
    failing = FailingTwice(books, after_commit=after_commit)
    notes = SharedNotes(failing, books.ledger, owners)  # type: ignore[arg-type]
    async with running(notes):
        notes.add([row(1), row(2)], [update(1, b"")])
        await written(notes)

    assert failing.failures < 0
    assert sorted(await books.ids()) == ["0:1", "0:2"]


class Spool:
    """A spool that keeps batches, or is full."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.is_full = False

    async def __call__(self, body: bytes) -> None:
        if self.is_full:
            raise QueueFullError("full")
        self.bodies.append(body)


async def test_notes_are_spooled_while_the_database_is_away(books: Books, other: Books) -> None:
    """The spool takes what the database cannot, and a batch that is drained twice is written once."""
    spool = Spool()
    notes = SharedNotes(books.database, books.ledger, owners, spool=spool)
    await books.database.close()
    async with running(notes):
        notes.add([row(1, visitor=b"anna"), row(2)._replace(name="\ud800")], [update(1, b"anna")])
        await written(notes)
    elsewhere = SharedNotes(other.database, other.ledger, owners)
    for body in spool.bodies * 2:
        await elsewhere.write_spooled(body)
    found = await other.listed()

    assert [(each.id, each.name, each.browser_copy) for each in found] == [
        ("0:2", "?", BrowserCopy.PENDING),
        ("0:1", "Lead", BrowserCopy.FIRED),
    ]
    with pytest.raises(QueueError):
        await elsewhere.write_spooled(b"\xc1")


async def test_notes_stay_in_memory_while_nothing_takes_them(books: Books) -> None:
    """If the spool is full, notes wait in memory; above its bound the newest are lost."""
    spool = Spool()
    spool.is_full = True
    notes = SharedNotes(books.database, books.ledger, owners, spool=spool, notes=Notes(100_000))
    await books.database.close()
    async with running(notes):
        notes.add([row(number) for number in range(1000)], [])
        waiting = notes.waiting
        assert 100 < waiting < 200
        assert notes.lost == 1000 - waiting
        spool.is_full = False
        await written(notes)

    assert len(spool.bodies) == 1


async def test_notes_of_any_day_find_their_table(books: Books, other: Books) -> None:
    """Notes that waited over midnight or for days go into the tables of their days, made again if necessary."""
    notes = SharedNotes(books.database, books.ledger, owners)
    days = [NOON - number * 86_400_000 for number in range(9)]
    rows: list[LedgerRow] = [row(1, at=at) for at in days]
    async with running(notes):
        notes.add(rows, [(at, b"k" * 16, (b"",), BrowserCopy.FIRED) for at in days])
        await written(notes)
        await other.database.run(Role.BOOKS, f"DROP TABLE ledger_{TODAY - 3}")
        notes.add([row(2, at=days[3])], [])
        await written(notes)
    found = await other.ids(Filter(limit=EVERYTHING))

    assert found == ["0:1", "-1:1", "-2:1", "-3:2", "-4:1", "-5:1", "-6:1"]
    assert notes.lost == 0


async def test_notes_that_nobody_can_write_hold_up_no_others(
    books: Books, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of ours in one batch loses that batch, which is counted and logged, but not the next ones."""
    notes = SharedNotes(books.database, books.ledger, owners)
    unbroken = books.ledger.group_by_day
    monkeypatch.setattr(books.ledger, "group_by_day", lambda _rows: 1 // 0)
    async with running(notes):
        notes.add([row(1)], [])
        await until(lambda: notes.lost == 1, what="the loss is counted")
        monkeypatch.setattr(books.ledger, "group_by_day", unbroken)
        notes.add([row(2)], [])
        await written(notes)

    assert await books.ids() == ["0:2"]
    assert "a fault of ours" in caplog.text
