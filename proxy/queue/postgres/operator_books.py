"""The books of a shared queue for a command, which is not part of a proxy: it leads no lane, and does no tending."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Self

from proxy.config.schema import RetentionSettings
from proxy.queue.contract import QueueError
from proxy.queue.postgres.archive import SharedArchive
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.ledger import SharedLedger
from proxy.queue.postgres.sightings import SharedSightings
from proxy.queue.postgres.suppressing import SharedSuppressing
from proxy.queue.postgres.suppressions import SharedSuppressions
from proxy.queue.seal import Sealer

_GO = "DELETE FROM replica WHERE id = $1"


class OperatorBooks:
    """Implements ``Books`` on a database of its own, which it closes."""

    def __init__(
        self, database: Database, sealer: Sealer, retention: RetentionSettings, now: Callable[[], int]
    ) -> None:
        """Put the parts together; ``open`` makes sure that the database is here.

        Args:
            database: Where the books are.
            sealer: Opens and seals what is stored there.
            retention: How long the ledger is kept.
            now: The server's clock in milliseconds.
        """
        self._database = database
        self._suppressions = SharedSuppressions()
        suppressing = SharedSuppressing(database, self._suppressions, SharedSightings(sealer), None)
        archive = SharedArchive(
            database,
            sealer,
            ledger=SharedLedger(database, sealer, now, days=retention.ledger_days),
            dead=SharedDeadLetters(sealer),
            suppress=suppressing.suppress,
            now=now,
        )
        self.suppress, self.lift, self.suppressed = suppressing.suppress, suppressing.lift, suppressing.suppressed
        self.events, self.dead_letters, self.suppressions = archive.events, archive.dead_letters, archive.suppressions
        self.replay, self.discard, self.erase = archive.replay, archive.discard, archive.erase
        self.event_page, self.waiting_events = archive.event_page, archive.waiting_events
        self.rollups, self.tallies = archive.rollups, archive.tallies
        self.event_counts, self.period_sums = archive.event_counts, archive.period_sums

    @classmethod
    async def open(
        cls, database: Database, sealer: Sealer, retention: RetentionSettings, now: Callable[[], int]
    ) -> Self:
        """Open the books of a database that was made, but not started.

        Args:
            database: Where they are.
            sealer: Opens and seals what is stored there.
            retention: How long the ledger is kept.
            now: The server's clock in milliseconds.

        Raises:
            QueueError: when the database cannot be used now.
        """
        books = cls(database, sealer, retention, now)
        try:
            await books._begin()
        except BaseException:
            await database.close()
            raise
        return books

    async def _begin(self) -> None:
        await self._database.start()
        if not self._database.is_here:
            raise QueueError(f"the database cannot be reached: {self._database.why_away}")
        await self._suppressions.catch_up(partial(self._database.run, Role.BOOKS))

    async def close(self) -> None:
        """Delete the row of this process, so that it does not count as a proxy, and close the database."""
        with suppress(QueueError):
            await self._database.run(Role.BOOKS, _GO, self._database.replica)
        await self._database.close()
