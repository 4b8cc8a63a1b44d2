"""One role's connection to the database, used by one caller after another.

Statements run in tasks of their own, which are never cancelled: when a caller is cancelled, its statement still runs to
its end. A caller that has waited longer than its limit gets ``DatabaseAwayError``; its statement is left to the server,
and the connection is ended from our side.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeAlias, TypeVar

from proxy.queue.contract import QueueError
from proxy.queue.postgres.errors import ConflictError, DatabaseAwayError, MisfitError
from proxy.queue.postgres.session import Session
from proxy.queue.postgres.transaction import LentRun, Run, lend_transaction, run_in_transaction

log = logging.getLogger(__name__)

T = TypeVar("T")
Work: TypeAlias = Callable[[Session], Coroutine[Any, Any, T]]

_TRIES = 5


class Channel:
    """A connection that is opened when it is needed, and again after it was lost."""

    def __init__(self, open_session: Callable[[], Awaitable[Session]], on_lost: Callable[[str], None]) -> None:
        """Begin without a connection.

        Args:
            open_session: Opens one, or raises DatabaseAwayError.
            on_lost: Called with the reason when the connection fails.
        """
        self._open = open_session
        self._on_lost = on_lost
        self._turn = asyncio.Lock()
        self._session: Session | None = None
        self._at_work: asyncio.Task[Any] | None = None
        """The task that uses the connection."""

    async def do(self, work: Work[T], limit: float, *, tries: int = _TRIES) -> T:
        """Let ``work`` use the connection.

        Args:
            work: Runs statements; a retry calls it again.
            limit: Seconds for the wait for a turn and all of the work together.
            tries: How many attempts are made, at most, while others change the same rows.

        Raises:
            QueueError: see errors.py.
        """
        task = asyncio.create_task(self._in_turn(work, tries))
        timer = asyncio.get_running_loop().call_later(limit, self._expire, task, limit)
        task.add_done_callback(lambda _: timer.cancel())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if task.cancelled() and not (caller and caller.cancelling()):
                raise DatabaseAwayError(f"no turn within {limit:g} seconds") from None
            task.add_done_callback(_report)
            raise

    async def transact(self, work: Callable[[Run], Coroutine[Any, Any, T]], limit: float, *, tries: int = _TRIES) -> T:
        """As ``do``, with ``work`` in one transaction.

        Args:
            work: Runs statements; a retry calls it again.
            limit: Seconds for the wait for a turn and all of the work together.
            tries: How many attempts are made, at most, while others change the same rows.

        Raises:
            QueueError: see errors.py.
        """
        return await self.do(partial(run_in_transaction, work), limit, tries=tries)

    @asynccontextmanager
    async def transaction(self, limit: float) -> AsyncIterator[Run]:
        """Hold a transaction open for the body of a ``with``; nothing is retried.

        Raises:
            QueueError: see errors.py.
        """
        lent: asyncio.Future[LentRun] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self.transact(partial(lend_transaction, lent), limit, tries=1))
        try:
            await asyncio.wait((lent, task), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            yield lent.result()
        except BaseException:
            task.add_done_callback(_report)
            if not lent.cancel():
                lent.result().give_back(in_order=False)
            raise
        lent.result().give_back(in_order=True)
        await asyncio.wait((task,))
        task.result()

    def end(self, why: str) -> None:
        """End the connection; a caller that waits for an answer gets the reason, and the next caller opens another."""
        session, self._session = self._session, None
        if session:
            session.why_ended = why
            session.end()

    def adopt(self, session: Session) -> None:
        """Take a connection that somebody opened."""
        self._session = session
        session.when_lost(partial(self._lose, session, "the connection was lost"))

    async def _in_turn(self, work: Work[T], tries: int) -> T:
        async with self._turn:
            session = self._session or await self._opened()
            self._at_work = asyncio.current_task()
            try:
                return await _run_with_retries(partial(work, session), tries)
            except DatabaseAwayError as error:
                self._lose(session, str(error))
                if isinstance(error, MisfitError) or not session.why_ended:
                    raise
                raise DatabaseAwayError(session.why_ended) from error
            finally:
                self._at_work = None

    async def _opened(self) -> Session:
        session = await self._open()
        self.adopt(session)
        return session

    def _expire(self, task: asyncio.Task[Any], limit: float) -> None:
        if self._at_work is not task:
            task.cancel()  # it waits for its turn, or for a connection
        elif self._session:
            self._lose(self._session, f"no answer within {limit:g} seconds")

    def _lose(self, session: Session, why: str) -> None:
        if session is self._session:
            self.end(why)
            self._on_lost(why)


async def _run_with_retries(work: Callable[[], Coroutine[Any, Any, T]], tries: int) -> T:
    for _ in range(tries - 1):
        try:
            return await work()
        except ConflictError:
            continue
    return await work()


def _report(task: asyncio.Task[Any]) -> None:
    """Retrieve the error of a task whose caller has gone away, and log it if it is a fault of ours."""
    if not task.cancelled() and (error := task.exception()) and not isinstance(error, QueueError):
        log.error("a fault of ours in the queue", exc_info=error)
