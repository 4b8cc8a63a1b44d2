"""How a database that is away comes back: the server to write to is found, and answers a durable write.

A write that hangs waits for a standby, and so would each further one, in a process of the server each. So there is one
such write at a time: while it has no answer, only reads look whether its server is still the one, and still at it.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from proxy.queue.postgres.errors import DatabaseAwayError, MisfitError, is_lasting, told
from proxy.queue.postgres.hosts import Hosts
from proxy.queue.postgres.session import Facts, Session

log = logging.getLogger(__name__)

# After so many seconds without an answer the server is looked at again.
_PATIENCE_S = 3.0
_AGAIN_S, _MOST_AGAIN_S = 0.1, 1.0
# What a person must mend takes longer, and servers take note of wrong passwords.
_LASTING_S = 5.0
_MOST_HOLD_S = 30.0
# So many times the wait before it came back, and this at least, it must have stayed for the next wait to be none.
_STEADY, _STEADY_S = 10.0, 10.0


@dataclass(frozen=True, eq=False, slots=True)
class Presence:
    """One time of the database being here, between two of its being away."""

    url: str
    facts: Facts


class HoldOff:
    """How long to wait before a database that left may come back: the longer, the sooner it left again and again."""

    def __init__(self) -> None:
        self._came: float | None = None
        self._next = 0.0

    def came(self) -> None:
        """Take note that it is here."""
        self._came = _loop_time()

    def next(self) -> float:
        """Return the wait: 0, 1, 2, 4 … 30 seconds; 0 again after it had stayed for long."""
        if self._came is None:
            return 0.0
        if _loop_time() - self._came > max(_STEADY_S, _STEADY * self._next):
            self._next = 0.0
        wait, self._next = self._next, min(max(1.0, 2 * self._next), _MOST_HOLD_S)
        return wait


def _pauses() -> Iterator[float]:
    """Yield the waits between attempts, without end."""
    pause = _AGAIN_S
    while True:
        yield pause
        pause = min(2 * pause, _MOST_AGAIN_S)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


class Comeback:
    """Tries until it succeeds; holds off longer and longer while what came back leaves again at once."""

    def __init__(
        self,
        hosts: Hosts,
        greet: Callable[[Session], Coroutine[Any, Any, None]],
        arrive: Callable[[Presence, Session], None],
        explain: Callable[[str], None],
    ) -> None:
        """Wait to be begun.

        Args:
            hosts: The servers.
            greet: Makes sure of the schema, and writes durably.
            arrive: Told when the database is here, with a connection to it.
            explain: Told each time why it is not.
        """
        self._hosts = hosts
        self._greet = greet
        self._arrive = arrive
        self._explain = explain
        self._hold_off = HoldOff()
        self._lasting: BaseException | None = None
        """What a person must mend, if the last attempt met such a thing."""
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, patience: float) -> None:
        """Begin, and wait for the first attempt to end, but for no more than so many seconds.

        Raises:
            MisfitError: when it met what a person must mend.
        """
        self.begin()
        tried = asyncio.create_task(self._tried.wait())
        await asyncio.wait((tried,), timeout=patience)
        tried.cancel()
        if self._lasting:
            raise MisfitError(told(self._lasting)) from self._lasting

    def begin(self) -> None:
        """Look for the database, after a wait if it left soon after it came."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._come_back())

    async def close(self) -> None:
        """Give up."""
        if self._task:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _come_back(self) -> None:
        await asyncio.sleep(self._hold_off.next())
        pauses = _pauses()
        while not (found := await self._found()):
            self._tried.set()
            await asyncio.sleep(_LASTING_S if self._lasting else next(pauses))
        self._hold_off.came()
        url, session = found
        self._arrive(Presence(url, session.facts), session)
        self._tried.set()

    async def _found(self) -> tuple[str, Session] | None:
        """Return a server that answered a durable write, and a connection to it."""
        self._lasting = None
        try:
            url, session = await self._hosts.best()
        except DatabaseAwayError as error:
            self._note(error.__cause__ or error, str(error))
            return None
        except Exception as error:
            # Whatever it is, the next attempt may succeed; without one it would be away for ever.
            log.exception("a fault of ours while the database is looked for")
            self._note(error, told(error))
            return None
        failure = await self._greeted(url, session)
        if failure is None:
            return url, session
        session.end()
        self._note(failure, told(failure))
        return None

    async def _greeted(self, url: str, session: Session) -> BaseException | None:
        """Wait until a durable write was answered, or is of no use any more; return why it failed, if it did."""
        # A task of its own: to cancel it would cancel the write.
        greeting = asyncio.create_task(self._greet(session))
        try:
            while not (await asyncio.wait((greeting,), timeout=_PATIENCE_S))[0]:
                self._note(None, "it does not answer a durable write: perhaps no standby is there")
                self._tried.set()
                if not await self._is_at_it(url, session):
                    session.end()
        except asyncio.CancelledError:
            session.end()
            await asyncio.wait((greeting,))
            greeting.exception()
            raise
        return greeting.exception()

    async def _is_at_it(self, url: str, session: Session) -> bool:
        """Tell whether nothing better can be done than to wait for a write."""
        try:
            best, look = await self._hosts.best()
        except DatabaseAwayError:
            return True
        if best != url or look.facts != session.facts:
            await look.close()
            return False
        asked = asyncio.create_task(look.runs(session.pid))
        await asyncio.wait((asked,), timeout=_PATIENCE_S)
        if not asked.done():
            look.end()
            await asyncio.wait((asked,))
        await look.close()
        return asked.exception() is not None or asked.result()

    def _note(self, error: BaseException | None, why: str) -> None:
        self._lasting = error if error and is_lasting(error) else None
        self._explain(why)
