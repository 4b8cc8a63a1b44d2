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


async def run_in_transaction(work: Callable[[Run], Coroutine[Any, Any, T]], session: Session) -> T:
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
    # If a statement of the transaction failed, the server rolls back and yet answers COMMIT without an error.
    if await session.execute("COMMIT") != "COMMIT":
        raise ConflictError("the transaction was rolled back")
    return result


class LentRun:
    """Runs statements for the body of a ``with``, in a transaction that another task holds until the body has ended."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._statement: asyncio.Task[Sequence[Row]] | None = None
        self._given_back: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def __call__(self, statement: str, *arguments: object) -> Sequence[Row]:
        """Run a statement; it goes on running when the body is cancelled."""
        self._statement = asyncio.ensure_future(self._run(statement, *arguments))
        await asyncio.wait((self._statement,))
        return self._statement.result()

    def give_back(self, *, in_order: bool) -> None:
        """Say that the body has ended: in order, or by an exception."""
        self._given_back.set_result(in_order)

    async def ended_in_order(self) -> bool:
        """Wait until the body has ended and none of its statements runs; return whether it ended in order."""
        in_order = await self._given_back
        if self._statement:
            await asyncio.wait((self._statement,))
            self._statement.cancelled() or self._statement.exception()
        return in_order


async def lend_transaction(lent: asyncio.Future[LentRun], run: Run) -> None:
    """Put a ``LentRun`` for ``run`` into the future ``lent``, and wait until the ``with`` body that got it has ended.

    Raises:
        QueueError: when the body was cancelled before, or did not end in order.
    """
    if lent.cancelled():
        raise QueueError("nobody waits any more")
    borrowed = LentRun(run)
    lent.set_result(borrowed)
    if not await borrowed.ended_in_order():
        raise QueueError("given up by its caller")
