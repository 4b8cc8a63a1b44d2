"""The background work of a process: reads what others changed, counts, and runs the tasks for notes and tending."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from proxy.queue.contract import QueueError
from proxy.queue.postgres.append import SharedAppends
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.errors import DatabaseAwayError
from proxy.queue.postgres.notes import SharedNotes
from proxy.queue.postgres.suppressing import SharedSuppressing
from proxy.queue.postgres.suppressions import SharedSuppressions

log = logging.getLogger(__name__)

_TOUCH_S = 1.0
_GO = "DELETE FROM replica WHERE id = $1"
_ALIVE = "UPDATE replica SET seen_at = now() WHERE id = $1 RETURNING 1"
# Seconds between two counts of dead letters and suppressions, which other processes change too.
_COUNT_S = 60.0
# Seconds that the last notes, and the slice of tending that is under way, may take at the end.
_END_S = 2.0


class SpoolReceiver:
    """Stores in the database what the spool is drained of."""

    def __init__(self, appends: SharedAppends, suppressing: SharedSuppressing, notes: SharedNotes) -> None:
        """Take what stores each kind.

        Args:
            appends: Stores events.
            suppressing: Stores suppressions.
            notes: Stores ledger rows.
        """
        self.append = appends.append
        self.suppression = suppressing.write_spooled
        self._notes = notes

    async def notes(self, body: bytes, at: int) -> None:  # noqa: ARG002 - notes tell their time themselves
        """Store ledger rows and updates of browser copies."""
        await self._notes.write_spooled(body)


class LongTask(Protocol):
    """A task that works until it is closed."""

    async def run(self) -> None:
        """Work until closed."""

    def close(self) -> None:
        """Let ``run`` end soon."""


class Upkeep:
    """Runs the background work; used on the event loop only."""

    def __init__(
        self,
        database: Database,
        dead: SharedDeadLetters,
        suppressions: SharedSuppressions,
        *,
        tasks: Sequence[LongTask],
        on_learnt: Callable[[], None],
    ) -> None:
        """Wait to be started.

        Args:
            database: Is read again whenever it has come back.
            dead: The dead letters, which are counted.
            suppressions: Catch up when the database has come back, and are counted.
            tasks: Further tasks to run until closed.
            on_learnt: Called when the database is here, after the attempt to read who is suppressed.
        """
        self._database = database
        self._dead_letters = dead
        self._suppressions = suppressions
        self._long_tasks = tasks
        self._on_learnt = on_learnt
        self._tasks: set[asyncio.Task[None]] = set()
        self._counting: asyncio.Task[None] | None = None
        self.dead = 0
        """How many dead letters there were at the last count, and were added by this process since."""

    def start(self) -> None:
        """Work from now on."""
        self._database.watchers.append(self._on_database_change)
        for task in self._long_tasks:
            self._spawn(task.run())
        self._counting = asyncio.create_task(self._count_now_and_then())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_database_change(self) -> None:
        """Hear that the database came or went."""
        if self._database.is_here:
            self._suppressions.reread_last_day()
            self._spawn(self.refresh())

    async def refresh(self) -> None:
        """Read who is suppressed, and count dead letters and suppressions, if the database is here."""
        if not self._database.is_here:
            return
        try:
            await self._suppressions.catch_up(partial(self._database.run, Role.BOOKS))
            await self.count()
        except QueueError as error:
            log.info("not learnt yet: %s", error)
        self._on_learnt()

    async def touch(self) -> None:
        """Commit something small, as an append does; if no answer comes, the database is away from then on.

        Raises:
            QueueError: when it was refused.
        """
        with suppress(DatabaseAwayError):
            await self._database.run(Role.APPEND, _ALIVE, self._database.replica, limit=_TOUCH_S)

    def count_new_letters(self, letters: int) -> None:
        """Count dead letters that this process added."""
        self.dead += letters

    async def count(self) -> None:
        """Count dead letters and suppressions.

        Raises:
            QueueError: when there is no answer.
        """
        run = partial(self._database.run, Role.BOOKS)
        self.dead = await self._dead_letters.count(run)
        await self._suppressions.count(run)

    async def _count_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_COUNT_S)
            try:
                await self.count()
            except QueueError as error:
                log.debug("not counted: %s", error)
            except Exception:
                log.exception("a fault of ours while dead letters and suppressions were counted")

    async def close(self, before: Callable[[], Awaitable[None]]) -> None:
        """Stop: let the last notes be written, and the slice of tending end, but wait for nothing else.

        Args:
            before: Closes another part, while the tasks end.
        """
        for task in self._long_tasks:
            task.close()
        await before()
        await self._end_tasks()
        with suppress(QueueError):
            # Otherwise this process would be listed as silent for a day.
            await self._database.run(Role.BOOKS, _GO, self._database.replica, limit=_TOUCH_S)

    async def _end_tasks(self) -> None:
        """Wait ``_END_S`` for the tasks that end by themselves, then cancel them; cancel the counting at once."""
        counting = [self._counting] if self._counting else []
        for task in counting:
            task.cancel()
        tasks = list(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=_END_S)
        for pending in tasks:
            pending.cancel()
        await asyncio.gather(*counting, *tasks, return_exceptions=True)
