"""Brings the rows of the spool into the database as soon as that answers, while new events are stored as well.

Suppressions go first, so that no event is stored about a person who has refused meanwhile. Several groups are stored as
one. A row is removed only after the database has confirmed that it is durable; so a row that was stored just before a
crash is brought again, and found to be a repeat.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from proxy.queue.contract import QueueBrokenError, QueueError, QueueFullError, Stored
from proxy.queue.group import Append
from proxy.queue.postgres.errors import ConflictError, DatabaseAwayError, LockTimeoutError
from proxy.queue.seal import Sealer, SealError
from proxy.queue.spool.spool import Spool
from proxy.queue.spool.spool_file import SpoolKind, SpoolRow
from proxy.queue.spool.spooled_appends import open_appends

log = logging.getLogger(__name__)

# After these errors a row is brought again later; after any other it is kept, and not brought again by this process.
_TRANSIENT_ERRORS = (DatabaseAwayError, ConflictError, LockTimeoutError, QueueFullError, QueueBrokenError)
MOST_EVENTS = 500
_AGAIN_S = 1.0


class Receiver(Protocol):
    """The database, which receives what came while it was away. Each method raises QueueError if it cannot store."""

    async def append(self, appends: Sequence[Append], at: int) -> Sequence[Stored | QueueError]:
        """Store appends as if they came new; return what became of each.

        Args:
            appends: Appends whose callers were answered long ago.
            at: Server clock in milliseconds when the first of them came.
        """

    async def suppression(self, body: bytes) -> None:
        """Store a suppression."""

    async def notes(self, body: bytes, at: int) -> None:
        """Store ledger rows and updates of browser copies.

        Args:
            body: The bytes that were put into the spool.
            at: Server clock in milliseconds when it came.
        """


class Draining:
    """Brings what is in the spool to the database; used on the event loop only."""

    def __init__(
        self,
        spool: Spool,
        receiver: Receiver,
        sealer: Sealer,
        *,
        here: Callable[[], bool],
        found: Callable[[Stored], None] = lambda _stored: None,
    ) -> None:
        """Take the parts; nothing is drained by itself before ``start``.

        Args:
            spool: The spool to drain.
            receiver: The database.
            sealer: Opens what was sealed.
            here: Tells whether the database is here.
            found: Called with what became of appends whose callers could not be told; never for appends that the
                database may have had before, since they may be found to be repeats of themselves.
        """
        self._spool = spool
        self._receiver = receiver
        self._sealer = sealer
        self._here = here
        self._found = found
        self._in_doubt: set[int] = set()
        self._wake = spool.filled
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Look at once whether something can be drained."""
        self._wake.set()

    def start(self) -> None:
        """Drain from now on, whenever there is something and the database is here."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop; rows that were brought and have no answer yet stay in the spool."""
        if self._task:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while self._here() and not self._spool.empty and await self.step():
                    pass
            except QueueError as error:
                log.info("the spool is not drained yet: %s", error)
                asyncio.get_running_loop().call_later(_AGAIN_S, self._wake.set)

    async def step(self) -> bool:
        """Bring the oldest rows to the database; tell whether there were any.

        Raises:
            QueueError: when they could not be stored, and are still there.
        """
        rows = await self._spool.oldest(MOST_EVENTS)
        if not rows:
            return False
        if rows[0].kind is SpoolKind.GROUP:
            await self._bring_groups(rows)
        else:
            await self._bring_one(rows[0])
        return True

    async def _bring_one(self, row: SpoolRow) -> None:
        try:
            if row.kind is SpoolKind.SUPPRESSION:
                await self._receiver.suppression(row.body)
            else:
                await self._receiver.notes(row.body, row.at)
        except _TRANSIENT_ERRORS:
            raise
        except (QueueError, SealError, ValueError) as error:
            await self._set_aside(row, error)
        else:
            await self._spool.remove((row,))

    async def _bring_groups(self, rows: Sequence[SpoolRow]) -> None:
        opened = [(row, appends) for row in rows if (appends := await self._opened(row))]
        try:
            await self._bring(opened)
        except _TRANSIENT_ERRORS:
            self._in_doubt.update(row.id for row, _ in opened)
            raise
        except QueueError as error:
            # Something in one of the rows is at fault: each is brought alone, so that the others are stored.
            if len(opened) == 1:
                await self._set_aside(opened[0][0], error)
            else:
                for row, _ in opened:
                    await self._bring_groups((row,))

    async def _opened(self, row: SpoolRow) -> Sequence[Append]:
        try:
            return open_appends(row.body, self._sealer)
        except (SealError, ValueError) as error:
            await self._set_aside(row, error)
            return ()

    async def _bring(self, opened: Sequence[tuple[SpoolRow, Sequence[Append]]]) -> None:
        if not opened:
            return
        together = [append for _, appends in opened for append in appends]
        outcomes = iter(await self._receiver.append(together, min(row.at for row, _ in opened)))
        stored = [(row, [next(outcomes) for _ in appends]) for row, appends in opened]
        await self._spool.remove([row for row, told in stored if _refusal(told) is None])
        for row, told in stored:
            if error := _refusal(told):
                await self._set_aside(row, error)
            self._tell(row, told)

    def _tell(self, row: SpoolRow, told: Sequence[Stored | QueueError]) -> None:
        in_doubt = row.in_doubt or row.id in self._in_doubt
        self._in_doubt.discard(row.id)
        for each in told:
            if isinstance(each, Stored) and not in_doubt:
                self._found(each)

    async def _set_aside(self, row: SpoolRow, error: Exception) -> None:
        log.error("a spooled %s of %d events stays in the spool: %s", row.kind.name.lower(), row.events, error)
        await self._spool.set_aside(row)


def _refusal(told: Sequence[Stored | QueueError]) -> QueueError | None:
    """Return why something of a row was not stored, None if all was; an error that may pass is raised instead.

    Raises:
        QueueError: when the row may be brought again.
    """
    errors = [each for each in told if isinstance(each, QueueError)]
    for error in errors:
        if isinstance(error, _TRANSIENT_ERRORS):
            raise error
    return errors[0] if errors else None
