"""A front's end of the socket: asks the back, and connects again when it is gone.

While the back is away, whoever asks is refused at once. It is away from the moment when it hangs up, or says nothing
for three seconds, until it says how the queue is. What it was asked before then is not asked again: whether it was done
is not known, so whoever waits is told that it was not.
"""

import asyncio
import logging
from collections.abc import Callable
from itertools import count
from typing import TypeAlias, cast

from proxy.background import end
from proxy.queue.contract import QueueError
from proxy.queue.remote import messages
from proxy.queue.remote.frames import LAST_NUMBER, Frame, FrameKind, FrameReader, MalformedFrameError, frame_bytes
from proxy.queue.remote.messages import Hello, State
from proxy.queue.remote.wire_answers import failure_of

log = logging.getLogger(__name__)

Tell: TypeAlias = Callable[[bytes | QueueError], None]
"""Hears the body of an answer, or why there is none."""
AWAY = "the back process does not answer; the proxy waits for it"
_TICK_S = 0.5
_SILENT_TICKS = 6
"""Counted, not measured: a front that was stopped itself has not waited for anybody meanwhile."""
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.02, 0.5


class _BackConnection(asyncio.Protocol):
    """One connection to the back."""

    def __init__(self, hello: Hello, on_here: Callable[[], None]) -> None:
        self._hello = hello
        self._on_here = on_here
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[int, Tell] = {}
        self._numbers = count(1)
        self.state: State | None = None
        """None until the back has said how the queue is."""
        self.is_busy = False
        """The back does not take what was sent already."""
        self.silent_ticks = 0
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who this is."""
        self._transport = cast("asyncio.Transport", transport)
        self.send(FrameKind.HELLO, 0, messages.encode(self._hello))

    def pause_writing(self) -> None:
        """Note that the back is slow."""
        self.is_busy = True

    def resume_writing(self) -> None:
        """Note that it is not any more."""
        self.is_busy = False

    def data_received(self, data: bytes) -> None:
        """Take what the back says."""
        self.silent_ticks = 0
        try:
            for frame in self._reader.feed(data):
                self._take(frame)
        except MalformedFrameError as error:
            log.error("the back process said what no back says: %s", error)  # noqa: TRY400 - one line will do
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits."""
        del exc
        self.state = None
        waiting, self._waiting = self._waiting, {}
        for tell in waiting.values():
            tell(QueueError("the back process was lost before it answered; it may have been done"))
        if not self.lost.done():
            self.lost.set_result(None)

    def send(self, kind: FrameKind, number: int, body: bytes) -> None:
        """Send a frame; to a connection that is lost nothing.

        Args:
            kind: What it says.
            number: Of the question; 0 where nobody answers.
            body: Its content.
        """
        if self._transport:
            self._transport.write(frame_bytes(kind, number, body))

    def ask(self, kind: FrameKind, body: bytes, tell: Tell) -> None:
        """Send a question.

        Args:
            kind: What is asked.
            body: Its arguments.
            tell: Hears the answer.
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
    """Used on the event loop only."""

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
        """How the queue is; None while the back is away."""
        return self._connection.state if self._connection else None

    @property
    def takes_notes(self) -> bool:
        """Whether the back is here, and takes what is sent to it."""
        return self._connection is not None and self._connection.state is not None and not self._connection.is_busy

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._run(), name="back")

    async def close(self) -> None:
        """Hang up."""
        if self._task:
            await end(self._task)
        if self._connection and self._connection.abort():
            await self._connection.lost

    def ask(self, kind: FrameKind, body: bytes, tell: Tell) -> None:
        """Ask the back; ``tell`` hears the answer on the event loop.

        Args:
            kind: What is asked.
            body: Its arguments.
            tell: Hears the body of the answer, or the error.

        Raises:
            QueueError: when the back is away.
        """
        if self._connection is None or self._connection.state is None:
            raise QueueError(AWAY)
        try:
            self._connection.ask(kind, body, tell)
        except ValueError as error:
            raise QueueError(str(error)) from error

    async def answer(self, kind: FrameKind, body: bytes) -> bytes:
        """Return the back's answer to a question.

        Raises:
            QueueError: when the back is away, or says so.
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
        """Send what nobody answers; to be asked first is ``takes_notes``."""
        if self._connection:
            self._connection.send(kind, 0, body)

    async def _run(self) -> None:
        delay = _FIRST_DELAY_S
        while True:
            if await self._was_here():
                delay = _FIRST_DELAY_S
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY_S)

    async def _was_here(self) -> bool:
        """Connect, and return after the connection is lost: whether the back had said anything by it."""
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
