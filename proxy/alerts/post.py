"""Sends messages to one receiver: one at a time, a limited number an hour, and with back-off while it takes none."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from proxy.alerts.message import Message, MessageKind
from proxy.alerts.receivers import AlertReceiver, ReceiverAnswer
from proxy.model import condition_details as details
from proxy.model.condition import ConditionBoard

log = logging.getLogger(__name__)

LEAST_INTERVAL_MS: Final = 60_000
"""The least time between two messages; what begins within it is told in one message."""
MOST_AN_HOUR: Final = 12
_HOUR_MS = 3_600_000
_FIRST_BACKOFF_MS, _LONGEST_BACKOFF_MS = 30_000, 30 * 60_000
_FAILURES_TO_TELL = 3


class Sent(NamedTuple):
    """The outcome of a message."""

    at: int
    receiver: str
    kind: MessageKind
    title: str
    taken: bool
    answer: str


class Post:
    """Hands messages to a receiver, each in a task of its own, so that a slow receiver delays nothing."""

    def __init__(
        self, name: str, receiver: AlertReceiver, *, board: ConditionBoard, now: Callable[[], int], sent: deque[Sent]
    ) -> None:
        """Begin without messages.

        Args:
            name: The name of the receiver for people.
            receiver: Takes the messages.
            board: Is told when the receiver takes none.
            now: Server clock in milliseconds.
            sent: Where the outcomes of messages are added.
        """
        self.name = name
        self.key = receiver.key
        self.failures = 0
        """How many messages in a row the receiver did not take."""
        self.next_at = 0
        """Before this moment no message is tried: server clock in milliseconds."""
        self._receiver = receiver
        self._board = board
        self._now = now
        self._sent = sent
        self._times: deque[int] = deque(maxlen=MOST_AN_HOUR)
        """When the latest messages were taken."""
        self._task: asyncio.Task[None] | None = None

    def is_free(self) -> bool:
        """Tell whether a message may go out now."""
        now = self._now()
        if self._task and not self._task.done():
            return False
        if now < self.next_at <= now + _HOUR_MS:  # further away it was set before the clock stepped back
            return False
        last, full = max(self._times, default=-LEAST_INTERVAL_MS), len(self._times) == MOST_AN_HOUR
        if 0 <= now - last < LEAST_INTERVAL_MS:
            return False
        return not (full and 0 <= now - min(self._times) < _HOUR_MS)

    def send(self, message: Message, taken: Callable[[], None]) -> None:
        """Send a message.

        Args:
            message: The message.
            taken: Called when the receiver has taken it.
        """
        self._task = asyncio.create_task(self._send(message, taken), name=f"alert to {self.key}")

    async def try_now(self, message: Message) -> ReceiverAnswer:
        """Send a message at once, even during a back-off, and return the answer."""
        answer = await self._receiver.send(message)
        self._remember(message, answer)
        if answer.taken:
            self._note_success()
        return answer

    async def close(self) -> None:
        """Cancel the message that is under way."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def wait_until_idle(self) -> None:
        """Wait until no message is under way."""
        if self._task:
            await asyncio.wait([self._task])

    async def _send(self, message: Message, taken: Callable[[], None]) -> None:
        try:
            answer = await self._receiver.send(message)
        except Exception:
            log.exception("a fault of ours in an alert")
            answer = ReceiverAnswer(False, "a fault of the proxy, which its log tells of")
        self._remember(message, answer)
        if answer.taken:
            self._times.append(self._now())
            self._note_success()
            taken()
        else:
            self._note_failure(answer)

    def _note_success(self) -> None:
        self.failures = self.next_at = 0
        self._board.clear("alert_not_sent", self.name)

    def _note_failure(self, answer: ReceiverAnswer) -> None:
        self.failures += 1
        wait = min(_FIRST_BACKOFF_MS << min(self.failures - 1, 10), _LONGEST_BACKOFF_MS)
        self.next_at = self._now() + min(max(wait, int(answer.retry_seconds * 1000)), _HOUR_MS)
        if self.failures >= _FAILURES_TO_TELL:
            self._board.report("alert_not_sent", self.name, details.alert_not_taken(self.failures, answer.text))

    def _remember(self, message: Message, answer: ReceiverAnswer) -> None:
        self._sent.append(Sent(self._now(), self.name, message.kind, message.title, answer.taken, answer.text))
        if not answer.taken:
            log.warning("an alert was not taken by %s: %s", self.name, answer.text)
