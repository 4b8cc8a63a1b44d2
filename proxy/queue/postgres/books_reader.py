"""Reads of the books, which change nothing: finished events, dead letters and suppressions, page by page.

Each page is a transaction of its own on the books' connection, and the server gives up a page that takes too long: no
commit waits for a standby there, so that giving up loses nothing.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from proxy.model.ledger import LedgerRow
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import DeadLetter, Filter, QueueError, Suppression
from proxy.queue.postgres import ledger_pages
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.errors import ConflictError, TableMissingError
from proxy.queue.postgres.ledger import SharedLedger
from proxy.queue.postgres.ledger_pages import START, DayPlace
from proxy.queue.postgres.transaction import Run

T = TypeVar("T")

PAGE_S = 5
"""Seconds after which the server gives up a page."""
# Dead letters on a page: each may have 256 KiB.
_LETTERS = 100
# A day's tables may be dropped while a page is read.
_TRIES = 3
_NEWEST = "SELECT digest, kind, at FROM mark WHERE kind = $1 ORDER BY at DESC LIMIT $2"
# With ties: all kinds of the last digest are on the page, so that the next page can begin behind that digest.
_AFTER = """
SELECT digest, kind, at FROM mark WHERE digest > $1 AND ($2::text IS NULL OR kind = $2)
ORDER BY digest FETCH FIRST $3 ROWS WITH TIES
"""


class BooksReader:
    """Reads pages of the ledger, of dead letters and of suppressions."""

    def __init__(self, database: Database, ledger: SharedLedger, dead: SharedDeadLetters) -> None:
        """Take the parts to read from.

        Args:
            database: Where the books are.
            ledger: Tells whether this process writes rows.
            dead: Opens dead letters.
        """
        self._database = database
        self._ledger = ledger
        self._dead = dead

    async def events(self, wanted: Filter) -> AsyncIterator[LedgerRow]:
        """Yield finished events: newest first, or above the number ``wanted.since`` in the order of their numbers.

        Above a number, rows that share the last one's number come too, beyond ``wanted.limit``.

        Raises:
            QueueError: when they cannot be read.
        """
        left, last = wanted.limit, 0
        pages = self._newest(wanted) if wanted.since is None else self._above(wanted, wanted.since)
        async for page in pages:
            for row in page:
                if left <= 0 and (wanted.since is None or row.number != last):
                    return
                left, last = left - 1, row.number
                yield row
            if left <= 0:
                return

    async def _newest(self, wanted: Filter) -> AsyncIterator[list[LedgerRow]]:
        place: DayPlace | None = START
        while place:
            rows, place = await self.page(partial(ledger_pages.newest, wanted=wanted, place=place))
            yield rows

    async def _above(self, wanted: Filter, number: int) -> AsyncIterator[list[LedgerRow]]:
        above: int | None = number
        top = await self.page(self._horizon)
        while above is not None and above < top:
            rows, above = await self.page(partial(ledger_pages.page_above, wanted=wanted, number=above, top=top))
            yield rows

    async def _horizon(self, run: Run) -> int:
        return await ledger_pages.horizon(run, self._database.replica, alone=not self._ledger.is_writing)

    async def dead_letters(self, wanted: Filter) -> list[DeadLetter]:
        """Return dead letters, newest first.

        Raises:
            QueueError: when they cannot be read.
        """
        letters: list[DeadLetter] = []
        while (left := wanted.limit - len(letters)) > 0:
            before = letters[-1].id if letters else wanted.before
            page = replace(wanted, before=before, limit=min(left, _LETTERS))
            found = await self.page(partial(self._dead.read, wanted=page))
            letters += found
            if len(found) < page.limit:
                break
        return letters

    async def suppressions(
        self, kind: SuppressionKind | None = None, *, limit: int = 100, after: bytes | None = None
    ) -> list[Suppression]:
        """Return suppressions, newest first; see ``Archive``.

        Args:
            kind: Only these; None: of all kinds.
            limit: How many at the most.
            after: Only those with larger digests than this one, in the order of digests.

        Raises:
            QueueError: when they cannot be read.
        """
        if after is not None:
            return await self.page(lambda run: _suppressions(run, _AFTER, after, kind, limit))
        kinds = [kind] if kind else list(SuppressionKind)

        async def newest(run: Run) -> list[Suppression]:
            return [row for each in kinds for row in await _suppressions(run, _NEWEST, each.value, limit)]

        found = await self.page(newest)
        return sorted(found, key=lambda suppression: suppression.at, reverse=True)[:limit]

    async def page(self, read: Callable[[Run], Awaitable[T]]) -> T:
        """Run ``read`` in a transaction with a time limit, and return its result.

        Raises:
            QueueError: when it could not be read.
        """
        for attempt in range(_TRIES):
            try:
                async with self._database.transaction(Role.BOOKS) as run:
                    await run(f"SET LOCAL statement_timeout = '{PAGE_S}s'")
                    return await read(run)
            except TableMissingError:
                if attempt == _TRIES - 1:
                    raise
            except ConflictError as error:
                raise QueueError(f"the database did not finish the search within {PAGE_S} seconds") from error
        raise AssertionError("unreachable")


async def _suppressions(run: Run, statement: str, *arguments: object) -> list[Suppression]:
    rows = await run(statement, *arguments)
    return [Suppression(bytes(row["digest"]), SuppressionKind.stored(row["kind"]), row["at"]) for row in rows]
