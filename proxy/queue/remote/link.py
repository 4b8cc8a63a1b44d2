"""A front's end of the socket: asks the back, and connects again when it is gone.

While the back is away, every question is refused at once. The back is away from the moment when it hangs up, or sends
nothing for three seconds, until it sends the state of the queue. Questions that were open then are not asked again:
whether they were done is not known, so their callers get an error.
"""

import asyncio
import logging
from collections.abc import Callable
from itertools import count
from typing import TypeAlias, cast

from proxy.background import cancel_and_wait
from proxy.queue.contract import QueueError
from proxy.queue.remote import messages
from proxy.queue.remote.frames import LAST_NUMBER, Frame, FrameKind, FrameReader, MalformedFrameError, frame_bytes
from proxy.queue.remote.messages import Hello, State
from proxy.queue.remote.wire_answers import failure_of

log = logging.getLogger(__name__)

AnswerCallback: TypeAlias = Callable[[bytes | QueueError], None]
"""Called with the body of an answer, or with the error why there is none."""
AWAY = "the back process does not answer; the proxy waits for it"
_TICK_S = 0.5
_SILENT_TICKS = 6
"""Ticks are counted, no time is measured: while the front itself was stopped, the back was not silent."""
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.02, 0.5


class _BackConnection(asyncio.Protocol):
    """One connection to the back."""

    def __init__(self, hello: Hello, on_here: Callable[[], None]) -> None:
        self._hello = hello
        self._on_here = on_here
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[int, AnswerCallback] = {}
        self._numbers = count(1)
        self.state: State | None = None
        """None until the back has sent the state of the queue."""
        self.is_busy = False
        """Whether the back has not read yet what was sent before."""
        self.silent_ticks = 0
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send HELLO, which says who this front is."""
        self._transport = cast("asyncio.Transport", transport)
        self.send(FrameKind.HELLO, 0, messages.encode(self._hello))

    def pause_writing(self) -> None:
        """Note that the back is slow."""
        self.is_busy = True

    def resume_writing(self) -> None:
        """Note that the back reads again."""
        self.is_busy = False

    def data_received(self, data: bytes) -> None:
        """Take data from the back."""
        self.silent_ticks = 0
        try:
            for frame in self._reader.feed(data):
                self._take(frame)
        except MalformedFrameError as error:
            log.error("the back process said what no back says: %s", error)  # noqa: TRY400 - one line will do
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give an error to every caller that waits for an answer."""
        del exc
        self.state = None
        waiting, self._waiting = self._waiting, {}
        for tell in waiting.values():
            tell(QueueError("the back process was lost before it answered; it may have been done"))
        if not self.lost.done():
            self.lost.set_result(None)

    def send(self, kind: FrameKind, number: int, body: bytes) -> None:
        """Send a frame; on a lost connection nothing happens.

        Args:
            kind: What it says.
            number: The number of the question; 0 if there is no answer.
            body: Its content.
        """
        if self._transport:
            self._transport.write(frame_bytes(kind, number, body))

    def ask(self, kind: FrameKind, body: bytes, tell: AnswerCallback) -> None:
        """Send a question.

        Args:
            kind: What is asked.
            body: Its arguments.
            tell: Called with the answer.
        """
        number = next(self._numbers) % LAST_NUMBER + 1
        self.send(kind, number, body)
        self._waiting[number] = tell

    def abort(self) -> bool:
        """End the connection; tell whether there is one."""
        if self._transport:
            self._transport.abort()
        return self._transport is not None

    def _take(self, frame: Frame) -> None:
        if frame.kind is FrameKind.STATE:
            was_here = self.state is not None
            self.state = messages.read(messages.STATE, frame.body)
            if not was_here:
                self._on_here()
        elif frame.number not in self._waiting:
            raise MalformedFrameError("an answer to nobody")
        elif frame.kind is FrameKind.DONE:
            self._waiting.pop(frame.number)(frame.body)
        elif frame.kind is FrameKind.FAILED:
            self._waiting.pop(frame.number)(failure_of(frame.body))
        else:
            raise MalformedFrameError(f"a frame of kind {frame.kind}")


class BackLink:
    """A front's link to the back, which connects again by itself; used on the event loop only."""

    def __init__(self, address: str, hello: Hello) -> None:
        """Prepare to connect.

        Args:
            address: Where the back listens.
            hello: Says who this front is.
        """
        self._address = address
        self._hello = hello
        self._connection: _BackConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self.here = asyncio.Event()
        """Set while the back answers."""
        self.on_here: Callable[[], None] = lambda: None
        """Called when the back answers again, or for the first time."""

    @property
    def state(self) -> State | None:
        """The state of the queue; None while the back is away."""
        return self._connection.state if self._connection else None

    @property
    def takes_notes(self) -> bool:
        """Whether the back is here, and has read what was sent before."""
        return self._connection is not None and self._connection.state is not None and not self._connection.is_busy

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._run(), name="back")

    async def close(self) -> None:
        """Hang up."""
        if self._task:
            await cancel_and_wait(self._task)
        if self._connection and self._connection.abort():
            await self._connection.lost

    def ask(self, kind: FrameKind, body: bytes, tell: AnswerCallback) -> None:
        """Ask the back; ``tell`` is called with the answer on the event loop.

        Args:
            kind: What is asked.
            body: Its arguments.
            tell: Called with the body of the answer, or with the error.

        Raises:
            QueueError: when the back is away.
        """
        if self._connection is None or self._connection.state is None:
            raise QueueError(AWAY)
        try:
            self._connection.ask(kind, body, tell)
        except ValueError as error:
            raise QueueError(str(error)) from error

    async def request_answer(self, kind: FrameKind, body: bytes) -> bytes:
        """Return the back's answer to a question.

        Raises:
            QueueError: when the back is away, or answers with an error.
        """
        done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def tell(answer: bytes | QueueError) -> None:
            if done.done():
                return
            if isinstance(answer, QueueError):
                done.set_exception(answer)
            else:
                done.set_result(answer)

        self.ask(kind, body, tell)
        return await done

    def send(self, kind: FrameKind, body: bytes) -> None:
        """Send a frame that is not answered; callers check ``takes_notes`` first."""
        if self._connection:
            self._connection.send(kind, 0, body)

    async def _run(self) -> None:
        delay = _FIRST_DELAY_S
        while True:
            if await self._connect_until_lost():
                delay = _FIRST_DELAY_S
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY_S)

    async def _connect_until_lost(self) -> bool:
        """Connect, wait until the connection is lost, and return whether the back had sent its state on it."""
        loop = asyncio.get_running_loop()
        self._connection = connection = _BackConnection(self._hello, self._note_here)
        try:
            await loop.create_unix_connection(lambda: connection, self._address)
        except OSError:
            return False
        while not connection.lost.done():
            await asyncio.wait([connection.lost], timeout=_TICK_S)
            connection.silent_ticks += 1
            if connection.silent_ticks > _SILENT_TICKS:
                connection.abort()
        was_here = self.here.is_set()
        if was_here:
            self.here.clear()
            log.warning("the back process is away: nothing can be stored until it is here again")
        return was_here

    def _note_here(self) -> None:
        self.here.set()
        self.on_here()
