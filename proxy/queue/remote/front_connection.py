"""One connection of a front, as the back sees it: data that no front sends ends it, and no other connection."""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from proxy.queue.contract import QueueError, QueueFullError
from proxy.queue.group import UNSEALED, Group
from proxy.queue.grouper import Outcome
from proxy.queue.remote import messages
from proxy.queue.remote.frames import Frame, FrameKind, FrameReader, MalformedFrameError, frame_bytes
from proxy.queue.remote.wire_answers import failure_body, outcome_body
from proxy.queue.remote.wire_group import group_of

if TYPE_CHECKING:
    from proxy.queue.remote.back import Back

log = logging.getLogger(__name__)

_HELLO_S = 5.0
# A front has one group stored at a time, and not more open questions than it has requests.
_MOST_GROUPS, _MOST_QUESTIONS = 4, 20_000


class FrontConnection(asyncio.Protocol):
    """One connection of a front."""

    def __init__(self, back: "Back") -> None:
        self._back = back
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._hello_timer: asyncio.TimerHandle | None = None
        self._is_busy = False
        self.groups = self.questions = 0
        """How many groups and how many questions are being answered."""
        self.front = 0
        """Its number; 0 until it said who it is."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for HELLO."""
        self._transport = cast("asyncio.Transport", transport)
        self._hello_timer = asyncio.get_running_loop().call_later(_HELLO_S, self.abort)

    def pause_writing(self) -> None:
        """Note that the front does not read."""
        self._is_busy = True

    def resume_writing(self) -> None:
        """Note that the front reads again."""
        self._is_busy = False

    def data_received(self, data: bytes) -> None:
        """Take data from the front; data that no front sends ends this connection and no other."""
        try:
            for frame in self._reader.feed(data):
                self._take(frame)
        except MalformedFrameError as error:
            name = f"front {self.front}" if self.front else "a stranger on the socket"
            log.error("%s said what no front says and was hung up on: %s", name, error)  # noqa: TRY400 - one line
            self.abort()
        except Exception as error:  # noqa: BLE001 - whatever one front sent must not cost the others
            self._back.watch.fault(error)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the front."""
        del exc
        if self._hello_timer:
            self._hello_timer.cancel()
        self._back.forget(self)

    def abort(self) -> None:
        """Hang up."""
        if self._transport:
            self._transport.abort()

    def tell_state(self, body: bytes) -> None:
        """Send the state of the queue, unless the front does not read."""
        if self.front and not self._is_busy:
            self.send(FrameKind.STATE, 0, body)

    def send(self, kind: FrameKind, number: int, body: bytes) -> None:
        """Send a frame, unless the front has hung up.

        Args:
            kind: What it says.
            number: The number of the question; 0 if there was none.
            body: Its content.
        """
        if self._transport and not self._transport.is_closing():
            self._transport.write(frame_bytes(kind, number, body))

    def _take(self, frame: Frame) -> None:
        if not self.front:
            self._greet(frame)
        elif frame.kind is FrameKind.APPEND:
            self._append(frame)
        elif frame.kind is FrameKind.NOTE:
            for note in messages.read(messages.NOTES, frame.body):
                self._back.queue.note(*note)
        elif frame.kind is FrameKind.REPORT:
            self._back.watch.report(self.front, messages.read(messages.REPORT, frame.body))
            self.send(FrameKind.DONE, frame.number, b"")
        else:
            self._begin(frame)

    def _greet(self, frame: Frame) -> None:
        if frame.kind is not FrameKind.HELLO:
            raise MalformedFrameError("no word of who it is")
        hello = messages.read(messages.HELLO, frame.body)
        if hello.front < 1 or not hmac.compare_digest(hello.token, self._back.token):
            raise MalformedFrameError("a front of another start of the proxy")
        self.front = hello.front
        if self._hello_timer:
            self._hello_timer.cancel()
        self._back.watch.joined(hello.front)
        self.tell_state(self._back.state())

    def _append(self, frame: Frame) -> None:
        group = group_of(frame.body)
        if self.groups >= _MOST_GROUPS:
            raise MalformedFrameError(f"more than {_MOST_GROUPS} groups at once")
        self.groups += 1
        try:
            self._back.queue.take(group, partial(self._tell_outcome, frame.number, group))
        except QueueError as error:
            self._tell_outcome(frame.number, group, error)

    def _tell_outcome(self, number: int, group: Group, outcome: Outcome) -> None:
        self.groups -= 1
        if isinstance(outcome, QueueError):
            self._back.watch.refused(str(outcome))
            self.send(FrameKind.FAILED, number, failure_body(outcome))
            return
        try:
            self._back.wake(_pixels(group))
            self.send(FrameKind.DONE, number, outcome_body(group, outcome))
        except Exception as error:  # noqa: BLE001 - the engine goes on to tell others; whoever tries again repeats
            self._back.watch.fault(error)
            self.send(FrameKind.FAILED, number, failure_body(error))

    def _begin(self, frame: Frame) -> None:
        """Begin to answer a question in a task of its own."""
        answering = self._back.questions.read_question(frame)
        if self.questions >= _MOST_QUESTIONS:
            self.send(FrameKind.FAILED, frame.number, failure_body(QueueFullError("too many questions at once")))
            return
        self.questions += 1
        self._back.spawn(self._answer(frame.number, answering))

    async def _answer(self, number: int, answering: Callable[[], Awaitable[bytes]]) -> None:
        try:
            self.send(FrameKind.DONE, number, await answering())
        except QueueError as error:
            self.send(FrameKind.FAILED, number, failure_body(error))
        except Exception as error:  # noqa: BLE001 - the front's visitor is told to come again
            self._back.watch.fault(error)
            self.send(FrameKind.FAILED, number, failure_body(error))
        finally:
            self.questions -= 1


def _pixels(group: Group) -> set[str]:
    """Return the pixels of a group's events."""
    pixels = {segment.pixel for segment in group.segments}
    if sum(segment.n for segment in group.segments) < len(group.members):
        pixels |= {member.record.pixel for member in group.members if member.segment == UNSEALED}
    return pixels
