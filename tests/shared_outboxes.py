"""Outboxes of several proxies on one PostgreSQL, with clocks that the test sets."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from clock import Clock
from postgres_server import Cluster
from support import PIXEL, SECRET

from proxy.model.record import Record
from proxy.queue.codec import chunks
from proxy.queue.contract import QueueError
from proxy.queue.group import sealed_segment
from proxy.queue.postgres import segment_table
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.ledger import SharedLedger
from proxy.queue.postgres.opening import make_database
from proxy.queue.postgres.outbox import SharedOutbox
from proxy.queue.postgres.plain_append import StoredSegment
from proxy.queue.postgres.sightings import SharedSightings
from proxy.queue.postgres.suppressions import SharedSuppressions
from proxy.queue.seal import Sealer

LEASE_S = 1.0


class Proxy:
    """The delivering part of a proxy, and a short way to store events."""

    def __init__(self, database: Database, clock: Clock, lease_s: float) -> None:
        self.database = database
        self.clock = clock
        self.sealer = Sealer(SECRET)
        self.suppressions = SharedSuppressions()
        self.ledger = SharedLedger(database, self.sealer, clock, days=7)
        self.sightings = SharedSightings(self.sealer)
        self.outbox = SharedOutbox(
            database,
            self.sealer,
            clock,
            ledger=self.ledger,
            dead=SharedDeadLetters(self.sealer),
            suppressions=self.suppressions,
            sightings=self.sightings,
            lease_s=lease_s,
        )

    async def store(self, records: Sequence[Record], *, at: int | None = None, not_before: int = 0) -> None:
        """Store events of one pixel as an append does, but without looking for repeats."""
        rows = [
            segment_table.row_of(
                sealed_segment(records[0].pixel, some, not_before, self.sealer), self.clock() if at is None else at
            )
            for some in chunks(records)
        ]
        await self.database.run(Role.APPEND, segment_table.INSERT, *segment_table.columns(rows))
        self.outbox.note_arrivals([StoredSegment(row.lane, row.n, row.at, row.not_before, row.fields) for row in rows])

    async def claimed(self, most: int = 1000, pixel: str = PIXEL, **how: Any) -> list[str]:
        """Claim, and return the ids of the claimed events."""
        segments = await self.outbox.claim(pixel, most=most, **how)
        return [record.id for segment in segments for record in segment.records]

    async def ids(self, statement: str, *arguments: object) -> Sequence[Any]:
        """Run a statement in the database; return its rows."""
        return await self.database.run(Role.BOOKS, statement, *arguments)

    async def crash(self) -> None:
        """End like a killed process, which gives no lane or claim back."""
        await self.outbox._lane_poller.close()
        if task := self.outbox.leases._task:
            task.cancel()
        await self.database.close()


@asynccontextmanager
async def proxy_on(
    postgres: Cluster, schema: str, clock: Clock, lease_s: float = LEASE_S, **settings: Any
) -> AsyncIterator[Proxy]:
    """Run the delivering part of a proxy until the context ends."""
    settings = {"commit_timeout": 30.0} | settings
    database = make_database(postgres.url(), Sealer(SECRET), schema=schema, **settings)
    await database.start(patience=30.0)
    assert database.is_here, database.why_away
    proxy = Proxy(database, clock, lease_s)
    await proxy.suppressions.catch_up(lambda statement, *arguments: database.run(Role.APPEND, statement, *arguments))
    await proxy.outbox.start()
    try:
        yield proxy
    finally:
        with suppress(QueueError):
            await proxy.outbox.close()
        await database.close()


def unique() -> int:
    """Return a random number for an event, which no other event has."""
    return int.from_bytes(os.urandom(6), "big")
