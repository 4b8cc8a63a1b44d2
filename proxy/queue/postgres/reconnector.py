"""How a database that is away comes back: the server to write to is found, and answers a durable write.

A write that hangs waits for a standby. Each further write would hang too, and occupy one more process of the server. So
there is one such write at a time; while it has no answer, only reads are sent, which tell whether its server is still
the one to write to, and still works on the write.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from proxy.queue.postgres.errors import DatabaseAwayError, MisfitError, error_text, is_lasting
from proxy.queue.postgres.hosts import Hosts
from proxy.queue.postgres.session import Facts, Session

log = logging.getLogger(__name__)

# Seconds without an answer to the durable write after which its server is looked at again.
_PATIENCE_S = 3.0
_AGAIN_S, _MOST_AGAIN_S = 0.1, 1.0
# Seconds between attempts while a person must mend something, as that takes longer, and servers log wrong passwords.
_LASTING_S = 5.0
_MOST_HOLD_S = 30.0
# There is no wait if the database stayed for longer than _STEADY times the wait that would be next, and _STEADY_S.
_STEADY, _STEADY_S = 10.0, 10.0


@dataclass(frozen=True, eq=False, slots=True)
class Presence:
    """One period in which the database is here, and the server that it is on; compared by identity."""

    url: str
    facts: Facts


class ReconnectBackoff:
    """The wait before a database that went away is looked for: longer each time that it left soon after it came."""

    def __init__(self) -> None:
        self._came: float | None = None
        self._next = 0.0

    def note_return(self) -> None:
        """Take note that it is here."""
        self._came = _loop_time()

    def next_delay(self) -> float:
        """Return the wait: 0, 1, 2, 4 … 30 seconds; 0 again after the database had stayed for long."""
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


class Reconnector:
    """Looks for the database until it is here; waits longer each time that it went away soon after it came."""

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
            arrive: Called when the database is here, with a connection to it.
            explain: Called with the reason each time the database is found to be still away.
        """
        self._hosts = hosts
        self._greet = greet
        self._arrive = arrive
        self._explain = explain
        self._hold_off = ReconnectBackoff()
        self._lasting: BaseException | None = None
        """The error of the last attempt, if a person must mend its cause; see ``errors.is_lasting``."""
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, patience: float) -> None:
        """Begin, and wait for the first attempt to end, but for no more than ``patience`` seconds.

        Raises:
            MisfitError: when the attempt failed for a reason that a person must mend.
        """
        self.begin()
        tried = asyncio.create_task(self._tried.wait())
        await asyncio.wait((tried,), timeout=patience)
        tried.cancel()
        if self._lasting:
            raise MisfitError(error_text(self._lasting)) from self._lasting

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
        await asyncio.sleep(self._hold_off.next_delay())
        pauses = _pauses()
        while not (found := await self._find_server()):
            self._tried.set()
            await asyncio.sleep(_LASTING_S if self._lasting else next(pauses))
        self._hold_off.note_return()
        url, session = found
        self._arrive(Presence(url, session.facts), session)
        self._tried.set()

    async def _find_server(self) -> tuple[str, Session] | None:
        """Return the url of a server that answered a durable write, and a connection to it; None if none did."""
        self._lasting = None
        try:
            url, session = await self._hosts.connect_to_primary()
        except DatabaseAwayError as error:
            self._note(error.__cause__ or error, str(error))
            return None
        except Exception as error:
            # Whatever it is, the next attempt may succeed; without one it would be away for ever.
            log.exception("a fault of ours while the database is looked for")
            self._note(error, error_text(error))
            return None
        failure = await self._await_greeting(url, session)
        if failure is None:
            return url, session
        session.end()
        self._note(failure, error_text(failure))
        return None

    async def _await_greeting(self, url: str, session: Session) -> BaseException | None:
        """Wait until the durable write is answered, or given up since its server is not the one; return its error."""
        # A task of its own: to cancel it would cancel the write.
        greeting = asyncio.create_task(self._greet(session))
        try:
            while not (await asyncio.wait((greeting,), timeout=_PATIENCE_S))[0]:
                self._note(None, "it does not answer a durable write: perhaps no standby is there")
                self._tried.set()
                if not await self._is_still_writing(url, session):
                    session.end()
        except asyncio.CancelledError:
            session.end()
            await asyncio.wait((greeting,))
            greeting.exception()
            raise
        return greeting.exception()

    async def _is_still_writing(self, url: str, session: Session) -> bool:
        """Tell whether to go on waiting for the durable write of ``session``.

        False if another server is the one to write to now, or if the server no longer works on the write.
        """
        try:
            best, look = await self._hosts.connect_to_primary()
        except DatabaseAwayError:
            return True
        if best != url or look.facts != session.facts:
            await look.close()
            return False
        asked = asyncio.create_task(look.is_at_work(session.pid))
        try:
            await asyncio.wait((asked,), timeout=_PATIENCE_S)
            if asked.done():
                await look.close()
        finally:
            look.end()  # does nothing once it is closed
            await asyncio.wait((asked,))
            is_unknown = asked.exception() is not None
        return is_unknown or asked.result()

    def _note(self, error: BaseException | None, why: str) -> None:
        self._lasting = error if error and is_lasting(error) else None
        self._explain(why)
