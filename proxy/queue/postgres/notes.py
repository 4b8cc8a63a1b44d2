"""Ledger rows and updates of browser copies on their way into the shared ledger, a batch every quarter of a second.

No caller waits for them. While the database is away they go into the spool if there is one; otherwise they stay in
memory, which is bounded, and a crash loses them. A batch whose answer was lost is written again, without the rows that
are in the ledger already.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias

import msgspec

from proxy.model.event import BrowserCopy
from proxy.model.ledger import LedgerRow
from proxy.model.units import DAY_MS
from proxy.queue.contract import QueueError
from proxy.queue.notes import Batch, CopyUpdate, Notes
from proxy.queue.postgres import ledger_rows
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.errors import DatabaseAwayError, DataRefusedError
from proxy.queue.postgres.ledger import SharedLedger
from proxy.queue.postgres.transaction import Run

log = logging.getLogger(__name__)

EVERY_S = 0.25
# Rows and updates written in one transaction, at most.
_NOTES = 1000
# Seconds between two checks that the tables of today and tomorrow exist.
_PREPARE_S = 60.0
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[list[LedgerRow], list[CopyUpdate]]).decode


Owners: TypeAlias = Callable[[Run, Sequence[tuple[bytes, Sequence[bytes]]]], Awaitable[Sequence[bytes | None]]]
"""Asks the duplicate memory for whom updates of browser copies count. Takes event keys, each with visitor candidates.

Returns for each event the first of its candidates who brought it; the first candidate if nobody brought it; None if
only other visitors brought it."""


class SharedNotes:
    """Writes rows and updates into the ledger, from its own task on the event loop."""

    def __init__(
        self,
        database: Database,
        ledger: SharedLedger,
        owners: Owners,
        *,
        spool: Callable[[bytes], Awaitable[None]] | None = None,
        notes: Notes | None = None,
    ) -> None:
        """Prepare to write; ``run`` begins.

        Args:
            database: Where the ledger is.
            ledger: Writes rows and updates.
            owners: Tells which visitor an update counts for.
            spool: Stores a batch durably while the database is away, for ``write_spooled``; raises QueueError when it
                takes none.
            notes: Holds what waits to be written; None: a new one of the usual size.
        """
        self._database = database
        self._ledger = ledger
        self._owners = owners
        self._spool = spool
        self._notes = Notes() if notes is None else notes
        self._closing = asyncio.Event()
        self._prepared = float("-inf")
        self._again = False
        self._taken = 0
        self.foreign_updates = 0
        """Updates since start that were ignored, since only other visitors had brought the event."""

    @property
    def lost(self) -> int:
        """How many rows and updates since start were left out of the ledger."""
        return self._notes.lost

    @property
    def waiting(self) -> int:
        """How many rows and updates are not written yet."""
        return len(self._notes) + self._taken

    def add(self, rows: Iterable[LedgerRow], updates: Iterable[CopyUpdate]) -> None:
        """Let rows and updates be written soon."""
        self._notes.add(rows, updates)

    async def run(self) -> None:
        """Write what is added until closed; then try once to write the rest."""
        while not self._closing.is_set():
            await self._write_waiting()
            waits = asyncio.ensure_future(self._closing.wait())
            await asyncio.wait((waits,), timeout=EVERY_S)
            waits.cancel()
        await self._write_waiting()

    def close(self) -> None:
        """Let ``run`` end."""
        self._closing.set()

    async def _write_waiting(self) -> None:
        """Write all that waits, a batch at a time; what cannot be written stays for the next turn."""
        try:
            await self._prepare()
            while self._notes:
                await self._write_batch()
        except QueueError as error:
            log.debug("notes stay in memory: %s", error)
        except Exception:
            log.exception("a fault of ours while notes were written")

    async def _prepare(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._prepared >= _PREPARE_S and self._database.is_here:
            await self._ledger.prepare()
            self._prepared = now

    async def _write_batch(self) -> None:
        batch = self._notes.take(_NOTES)
        self._taken = len(batch.rows) + len(batch.updates)
        try:
            unwritable = await self._store_batch(batch)
        except (QueueError, asyncio.CancelledError):
            self._notes.give_back(batch)
            raise
        except Exception:
            # Tried again, the same batch would fail in the same way, and hold up all others for ever.
            log.exception("a fault of ours: notes are left out")
            self._notes.mark_written(batch, self._taken)
        else:
            self._notes.mark_written(batch, unwritable)
        finally:
            self._taken = 0

    async def _store_batch(self, batch: Batch) -> int:
        """Write a batch into the ledger, or into the spool while the database is away.

        Return how many of its rows and updates were left out, since the database does not take them.
        """
        try:
            unwritable = await self._write_to_ledger(batch, again=self._again)
        except DatabaseAwayError:
            # The batch may have been committed, and only the answer lost.
            self._again = True
            if self._spool is None:
                raise
            await self._spool(packed(batch.rows, batch.updates))
            return 0
        self._again = False
        return unwritable

    async def write_spooled(self, body: bytes) -> None:
        """Write a batch that was spooled; it may have been written before.

        Raises:
            QueueError: when it was not written.
        """
        await self._write_to_ledger(unpacked(body), again=True)

    async def _write_to_ledger(self, batch: Batch, *, again: bool) -> int:
        """Write a batch; return how many of its rows and updates were left out, since the database refuses them."""
        days = {*self._ledger.group_by_day(batch.rows), *(update[0] // DAY_MS for update in batch.updates)}
        await self._ledger.ensure_tables(sorted(days))
        try:
            await self._transact(batch.rows, batch.updates, again=again)
        except DataRefusedError:
            return await self._written_alone(batch)
        return len(batch.rows) - len(ledger_rows.writable(batch.rows))

    async def _written_alone(self, batch: Batch) -> int:
        """Write each note of a batch in a transaction of its own, so that a refused one does not fail the others."""
        unwritable = 0
        alone: list[tuple[list[LedgerRow], list[CopyUpdate]]] = [([row], []) for row in batch.rows]
        for rows, updates in alone + [([], [update]) for update in batch.updates]:
            try:
                await self._transact(rows, updates, again=True)
            except DataRefusedError:
                unwritable += 1
        return unwritable

    async def _transact(self, rows: Sequence[LedgerRow], updates: Sequence[CopyUpdate], *, again: bool) -> None:
        async def work(run: Run) -> int:
            owned = await self._owned(run, updates) if updates else []
            await self._ledger.write(run, rows, updates=owned, again=again)
            return len(updates) - len(owned)

        with self._ledger.writing():
            self.foreign_updates += await self._database.transact(Role.BOOKS, work)

    async def _owned(self, run: Run, updates: Sequence[CopyUpdate]) -> list[tuple[int, bytes, bytes, BrowserCopy]]:
        """Return updates, each with the visitor it counts for, without those of events that only others brought."""
        owners = await self._owners(run, [(key, visitors) for _, key, visitors, _ in updates])
        return [
            (at, key, owner, browser_copy)
            for (at, key, _, browser_copy), owner in zip(updates, owners, strict=True)
            if owner is not None
        ]


def packed(rows: Sequence[LedgerRow], updates: Sequence[CopyUpdate]) -> bytes:
    """Return notes as bytes for the spool; lone surrogates, which UTF-8 cannot encode, are replaced."""
    return _encode(([_encodable(row) for row in rows], updates))


def _encodable(row: LedgerRow) -> LedgerRow:
    try:
        f"{row.name}{row.id}".encode()
    except UnicodeEncodeError:
        name, identity = (text.encode("utf-8", "replace").decode() for text in (row.name, row.id))
        return row._replace(name=name, id=identity)
    return row


def unpacked(body: bytes) -> Batch:
    """Read what ``packed`` wrote.

    Raises:
        QueueError: when the bytes have another form.
    """
    try:
        rows, updates = _decode(body)
    except msgspec.DecodeError as error:
        raise QueueError("a batch of notes has not the form that this version knows") from error
    return Batch(rows, updates, 0)
