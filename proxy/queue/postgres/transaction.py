"""Several statements in one transaction: in a function that may run again, or in the body of a ``with``."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from proxy.queue.contract import QueueError
from proxy.queue.postgres.errors import ConflictError
from proxy.queue.postgres.session import Row, Session

T = TypeVar("T")


class Run(Protocol):
    """Runs a statement."""

    async def __call__(self, statement: str, *arguments: object) -> Sequence[Row]:
        """Return its rows."""


async def transacted(work: Callable[[Run], Coroutine[Any, Any, T]], session: Session) -> T:
    """Run ``work`` in a transaction.

    Raises:
        QueueError: see errors.py.
    """
    await session.execute("BEGIN")
    try:
        result = await work(session.fetch)
    except BaseException:
        if not session.ended:
            await session.execute("ROLLBACK")
        raise
    # A server answers the COMMIT of a transaction in which a statement failed with success, and rolls back.
    if await session.execute("COMMIT") != "COMMIT":
        raise ConflictError("the transaction was rolled back")
    return result


class LentRun:
    """What the body of a ``with`` runs its statements by, until it gives it back."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._statement: asyncio.Task[Sequence[Row]] | None = None
        self._given_back: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def __call__(self, statement: str, *arguments: object) -> Sequence[Row]:
        """Run a statement; a body that is cancelled leaves it running."""
        self._statement = asyncio.ensure_future(self._run(statement, *arguments))
        await asyncio.wait((self._statement,))
        return self._statement.result()

    def give_back(self, *, in_order: bool) -> None:
        """Say that the body has ended."""
        self._given_back.set_result(in_order)

    async def ended_in_order(self) -> bool:
        """Wait until the body has ended and no statement of it runs; return whether it ended in order."""
        in_order = await self._given_back
        if self._statement:
            await asyncio.wait((self._statement,))
            self._statement.cancelled() or self._statement.exception()
        return in_order


async def lend(lent: asyncio.Future[LentRun], run: Run) -> None:
    """Let somebody else run statements, and wait until it has ended.

    Raises:
        QueueError: when it did not end in order.
    """
    if lent.cancelled():
        raise QueueError("nobody waits any more")
    borrowed = LentRun(run)
    lent.set_result(borrowed)
    if not await borrowed.ended_in_order():
        raise QueueError("given up by its caller")
