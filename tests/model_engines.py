"""Queues for the model test, one on SQLite and one on PostgreSQL, with crashes, lost answers and a second proxy.

A crash leaves exactly what was committed: of SQLite a copy of the files as they are; of PostgreSQL a process that goes
on without being heard, whose settlements may come late.
"""

import shutil
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from clock import Clock
from postgres_server import Cluster
from queues import open_queue, open_shared

from proxy.model.record import Record
from proxy.queue.contract import QueueError, Stored
from proxy.queue.postgres.database import Role
from proxy.queue.postgres.errors import DatabaseAwayError

LOSSES = (None, None, None, "request", "answer")
"""What of a call is lost: mostly nothing; the request, which then is not carried out; or the answer."""
# How many dead processes may go on at once, each with its connections.
_DEAD = 2


class ModelEngine(Protocol):
    """A queue that the model uses."""

    queue: Any
    clock: Clock

    async def start(self) -> None:
        """Open the queue."""

    async def crash(self) -> Any:
        """End the process, and begin another; return the dead one's queue if it may still settle, else None."""

    async def append(self, records: Sequence[Record], loss: str | None) -> Stored | None:
        """Store records; return None if it is not known whether they were stored."""

    def lose(self, loss: str | None) -> None:
        """Lose part of the next settlement or claim, as ``LOSSES`` says."""

    async def bury(self, most: int = 0) -> None:
        """Close the queues of dead processes, except the last ``most``."""

    async def close(self) -> None:
        """Close everything."""


class SqliteEngine:
    """The engine on a disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = count()
        self.clock = Clock()
        self.queue: Any = None

    @property
    def _current(self) -> Path:
        return self._directory / "now"

    async def start(self) -> None:
        self._current.mkdir(parents=True, exist_ok=True)
        self.queue = open_queue(self._current, self.clock)

    async def crash(self) -> Any:
        await self.queue.ready()
        left = self._directory / f"left-{next(self._numbers)}"
        shutil.copytree(self._current, left)
        await self.queue.close()
        shutil.rmtree(self._current)
        left.rename(self._current)
        await self.start()

    async def append(self, records: Sequence[Record], loss: str | None) -> Stored | None:
        if loss == "request":
            return None
        stored: Stored = await self.queue.append(records)
        return None if loss == "answer" else stored

    def lose(self, loss: str | None) -> None:
        """Do nothing: between this process and its file nothing is lost."""

    async def bury(self, most: int = 0) -> None:
        """Do nothing: there are no dead processes."""

    async def close(self) -> None:
        await self.queue.close()


class PostgresEngine:
    """The engine in a database into which a second proxy stores as well."""

    def __init__(self, cluster: Cluster, schema: str) -> None:
        self._where = (cluster, schema)
        self._turns = count()
        self.clock = Clock()
        self.queue: Any = None
        self._other: Any = None
        self._dead: list[Any] = []

    async def _opened(self) -> Any:
        return _Lossy(await open_shared(*self._where, self.clock, lease_s=30.0))

    async def start(self) -> None:
        self.queue, self._other = await self._opened(), await self._opened()

    async def crash(self) -> Any:
        dead = self.queue
        await dead.silence()
        self._dead.append(dead)
        await self.bury(_DEAD)
        self.queue = await self._opened()
        self.queue.has_beaten_for_long()
        return dead

    async def append(self, records: Sequence[Record], loss: str | None) -> Stored | None:
        """Store at the second proxy every third time, else at the first."""
        proxy = self._other if next(self._turns) % 3 == 0 else self.queue
        proxy.lose(loss)
        try:
            stored: Stored = await proxy.append(records)
        except QueueError:
            assert loss
            return None
        finally:
            proxy.lose(None)
        return stored

    def lose(self, loss: str | None) -> None:
        self.queue.lose(loss)

    async def bury(self, most: int = 0) -> None:
        while len(self._dead) > most:
            await self._dead.pop(0).end()

    async def close(self) -> None:
        await self.bury()
        for queue in (self.queue, self._other):
            await queue.close()


class _Lossy:
    """A shared queue of which a statement or its answer may be lost."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self._loss: str | None = None
        self.is_ended = False
        database = queue._database
        for name in ("run", "transact"):
            setattr(database, name, self._losing(getattr(database, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    def _losing(self, call: Any) -> Any:
        async def called(role: Any, *arguments: Any, **named: Any) -> Any:
            loss, self._loss = (self._loss, None) if role.value in {"append", "deliver"} else (None, self._loss)
            if loss == "request":
                raise DatabaseAwayError("what was asked got lost")
            result = await call(role, *arguments, **named)
            if loss == "answer":
                raise DatabaseAwayError("the answer got lost")
            return result

        return called

    def lose(self, loss: str | None) -> None:
        self._loss = loss

    async def silence(self) -> None:
        """Make the other processes count this one as dead, though it goes on."""
        outbox = self._queue._outbox
        outbox.leases._task.cancel()
        await outbox._lane_poller.close()
        silence = "UPDATE replica SET seen_at = seen_at - interval '1 day' WHERE id = $1 RETURNING id"
        database = self._queue._database
        await database.run(Role.BOOKS, silence, database.replica)

    async def end(self) -> None:
        self.is_ended = True
        await self._queue.close()

    def has_beaten_for_long(self) -> None:
        self._queue._outbox.leases._heard_since -= 1000
