"""Stores a group in the database while that is here, else in the spool; it is acknowledged once one of them has it.

A group for which the database did not answer in time goes into the spool too, since it is unknown whether the database
has it. It is still stored only once: its keys stay the same, so the database recognises what it already has.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from proxy.queue.contract import QueueError, Stored
from proxy.queue.group import UNSEALED, Append, Group
from proxy.queue.grouper import Outcome
from proxy.queue.postgres.errors import DatabaseAwayError
from proxy.queue.seal import Sealer
from proxy.queue.spool.spool import Spool
from proxy.queue.spool.spool_file import SpoolKind
from proxy.queue.spool.spooled_appends import seal_appends

_SPOOLED = Stored()
# Only the database can tell whether these people are suppressed, and data of suppressed people must not be stored.
_CANNOT_CHECK = "the database is away, and only it can tell whether this person is suppressed"


class DatabaseState(Protocol):
    """What must be known of the database."""

    @property
    def is_here(self) -> bool:
        """Whether it answers."""

    @property
    def why_away(self) -> str:
        """Why it does not."""

    @property
    def commit_timeout(self) -> float:
        """Seconds that an append may take."""


class Spooling:
    """Stores groups for a ``Grouper``; used on the event loop only."""

    def __init__(
        self,
        database: DatabaseState,
        spool: Spool | None,
        sealer: Sealer,
        direct: Callable[[Group], Awaitable[Sequence[Stored | QueueError]]],
    ) -> None:
        """Store for an engine.

        Args:
            database: Says whether it is here.
            spool: Where groups go while it is not; None if this proxy's disk is not kept: then callers are refused.
            sealer: Seals what is spooled.
            direct: Stores a group in the database, and returns for each append what became of it. Raises
                DatabaseAwayError where the group is to be spooled, and any other QueueError where it is refused.
        """
        self._database = database
        self._spool = spool
        self._sealer = sealer
        self._direct = direct
        self._tasks: set[asyncio.Task[Outcome]] = set()

    def store(self, group: Group, tell: Callable[[Outcome], None]) -> None:
        """Begin to store a group durably; ``tell`` is called with the outcome."""
        task = asyncio.create_task(self.store_and_wait(group))
        self._tasks.add(task)
        task.add_done_callback(partial(self._report_outcome, tell))

    async def store_and_wait(self, group: Group) -> Outcome:
        """Store a group durably; return the outcome."""
        try:
            return await self._store_or_spool(group)
        except QueueError as error:
            return error

    def _report_outcome(self, tell: Callable[[Outcome], None], task: asyncio.Task[Outcome]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            tell(QueueError("the queue is closed"))
        elif error := task.exception():
            tell(QueueError(f"a fault of ours in the queue: {type(error).__name__}"))
            raise error
        else:
            tell(task.result())

    async def _store_or_spool(self, group: Group) -> Outcome:
        if not self._database.is_here:
            return await self._spooled(group, self._database.why_away, in_doubt=False)
        # Several statements, each within the limit, can take longer than it; none of them is cancelled.
        storing = asyncio.ensure_future(self._direct(group))
        await asyncio.wait((storing,), timeout=self._database.commit_timeout)
        if not storing.done():
            storing.add_done_callback(_ignore_result)
            return await self._spooled(group, "an append had no answer in time", in_doubt=True)
        try:
            return storing.result()
        except DatabaseAwayError as error:
            return await self._spooled(group, str(error), in_doubt=True)

    async def _spooled(self, group: Group, why: str, *, in_doubt: bool) -> Outcome:
        if self._spool is None:
            raise QueueError(f"the database is away: {why}")
        untold = _unchecked_appends(group)
        calls = [call for number, call in enumerate(group.calls) if number not in untold]
        if calls:
            await self._put(self._spool, calls, in_doubt=in_doubt)
        return [QueueError(_CANNOT_CHECK) if number in untold else _SPOOLED for number in range(len(group.calls))]

    async def _put(self, spool: Spool, calls: Sequence[Append], *, in_doubt: bool) -> None:
        body = seal_appends(calls, self._sealer)
        events = sum(len(call.records) for call in calls)
        await spool.put(SpoolKind.GROUP, body, events=events, in_doubt=in_doubt)


def _ignore_result(storing: asyncio.Future[Sequence[Stored | QueueError]]) -> None:
    """Take a result that no caller waits for any more: the group is in the spool, and will be found to be a repeat."""
    if not storing.cancelled():
        storing.exception()


def _unchecked_appends(group: Group) -> set[int]:
    """Return the numbers of the appends that are about somebody who may be suppressed."""
    members = {member.call for member in group.members if member.segment == UNSEALED}
    return members | {sighting.call for sighting in group.sightings if not sighting.sealed}
