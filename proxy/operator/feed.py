"""The live feed: one reader of the queue for all pages that listen; while no page listens, nothing is read.

It reads the newest events again and again, and leaves out what it has sent already. So the order in which several
proxies write does not matter, and an event whose browser copy becomes known later is sent again.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

import orjson

from proxy.background import cancel_and_wait
from proxy.model.ledger import LedgerRow
from proxy.operator.event_json import event_json, waiting_json
from proxy.queue.contract import Archive, Filter, QueueError

EVERY_S, BUSY_EVERY_S = 0.4, 2.0
"""Seconds between two reads; and while more events end than are read at once, which nobody can follow by eye."""
MOST_SUBSCRIBERS = 16
_STATUS_EVERY_S = 1.0
_ROWS, _WAITING = 200, 100
_REMEMBERED = 4 * (_ROWS + _WAITING)
_MOST_UNREAD = 1000
_VOLATILE_MEMBERS = {"oldest", "oldest_suspect", "silent", "seen", "detail", "reasons"}
"""Members of a status that change all the time; if only these have changed, the status is not sent again."""
Key: TypeAlias = tuple[Any, ...]


class StreamMessage(NamedTuple):
    """One server-sent event."""

    event: str
    data: str
    id: str | None = None


class Subscriber:
    """One page that listens."""

    def __init__(self, is_gone: Callable[[], bool], cut: Callable[[], None]) -> None:
        """Begin to listen.

        Args:
            is_gone: Tells whether the page has gone, or is no longer logged in.
            cut: Ends the connection, even while something is being sent.
        """
        self._unread: asyncio.Queue[StreamMessage | None] = asyncio.Queue(_MOST_UNREAD)
        self.is_gone = is_gone
        self._cut = cut

    def enqueue(self, message: StreamMessage) -> None:
        """Put a message into the line to be sent; end the connection if the page reads too slowly."""
        try:
            self._unread.put_nowait(message)
        except asyncio.QueueFull:
            self.hang_up()

    async def next(self) -> StreamMessage | None:
        """Return the next message; None when there will be none any more."""
        return await self._unread.get()

    def end(self) -> None:
        """Let the connection end after the message that is being sent; further ones are discarded."""
        while not self._unread.empty():
            self._unread.get_nowait()
        self._unread.put_nowait(None)

    def hang_up(self) -> None:
        """End the connection at once."""
        self.end()
        self._cut()


class LiveFeed:
    """Sends new events and changes of the status to all subscribers."""

    def __init__(self, queue: Archive, status: Callable[[], Awaitable[Mapping[str, Any]]]) -> None:
        """Begin without subscribers.

        Args:
            queue: The queue to read.
            status: Returns the status, as ``StatusApi`` makes it.
        """
        self._queue = queue
        self._status = status
        self._subscribers: set[Subscriber] = set()
        self._reading: asyncio.Task[None] | None = None
        self._told: OrderedDict[Key, str] = OrderedDict()
        self._begun = asyncio.Event()
        self._is_closed = False

    @property
    def is_full(self) -> bool:
        """Whether no further page may listen."""
        return self._is_closed or len(self._subscribers) >= MOST_SUBSCRIBERS

    def join(self, subscriber: Subscriber) -> None:
        """Send a subscriber what happens from now on."""
        self._subscribers.add(subscriber)
        if not self._reading or self._reading.done():
            self._begun = asyncio.Event()
            self._reading = asyncio.create_task(self._read_until_cancelled(), name="live feed")

    async def catch_up(self, subscriber: Subscriber, last: int | None) -> None:
        """Send a new subscriber the events that it has missed, and then the status.

        A page that asks for the list of events after this status misses none: those that end later are sent to it.

        Args:
            subscriber: The new subscriber.
            last: The number of the last event that was sent to it; None if it wants no earlier events.
        """
        await self._begun.wait()
        with suppress(QueueError):
            if last is not None:
                await self._send_missed(subscriber, last)
            subscriber.enqueue(_status_message(await self._status()))

    def leave(self, subscriber: Subscriber) -> None:
        """Remove a subscriber; without the last one, reading stops."""
        self._subscribers.discard(subscriber)
        if not self._subscribers and self._reading:
            self._reading.cancel()
            self._reading = None
            self._told.clear()

    async def close(self) -> None:
        """End all connections."""
        self._is_closed = True
        reading = self._reading
        for subscriber in list(self._subscribers):
            subscriber.end()
            self.leave(subscriber)
        if reading:
            await cancel_and_wait(reading)

    async def _send_missed(self, subscriber: Subscriber, last: int) -> None:
        rows = [row async for row in self._queue.events(Filter(limit=_MOST_UNREAD // 2))]
        missed = [row for row in rows if row.number > last]
        if len(missed) == len(rows) and rows:
            subscriber.enqueue(StreamMessage("gap", "{}"))
        for row in reversed(missed):
            subscriber.enqueue(_row_message(event_json(row)))

    async def _read_until_cancelled(self) -> None:
        """Read until it is cancelled; an error ends all connections, and the pages connect again."""
        looked, status, is_first = 0.0, b"", True
        try:
            while True:
                self._drop_gone()
                is_whole = True
                with suppress(QueueError):
                    is_whole = await self._send_new_events(is_first=is_first)
                    is_first = False
                self._begun.set()
                if time.monotonic() - looked >= _STATUS_EVERY_S:
                    looked, status = time.monotonic(), await self._send_changed_status(status)
                await asyncio.sleep(EVERY_S if is_whole else BUSY_EVERY_S)
        except Exception:
            # Not when it is cancelled: subscribers that are there by then belong to the next reader.
            for subscriber in list(self._subscribers):
                subscriber.end()
            raise

    def _drop_gone(self) -> None:
        for subscriber in list(self._subscribers):
            if subscriber.is_gone():
                subscriber.hang_up()

    async def _send_new_events(self, *, is_first: bool) -> bool:
        """Send what is new, but nothing after the first read; return whether no event was missed since the last one."""
        rows = [row async for row in self._queue.events(Filter(limit=_ROWS))]
        waiting = await self._queue.waiting_events(Filter(limit=_WAITING))
        is_whole = is_first or len(rows) < _ROWS or any(_key(row) in self._told for row in rows)
        if not is_whole:
            self._broadcast(StreamMessage("gap", "{}"))
        finished = [(_key(row), _row_message(event_json(row))) for row in reversed(rows)]
        arrived = [
            ((event.pixel, event.name, event.id, event.arrived), StreamMessage("row", _text(waiting_json(event))))
            for event in reversed(waiting)
        ]
        for message in self._new_messages((*arrived, *finished)):
            if not is_first:
                self._broadcast(message)
        return is_whole

    def _new_messages(self, messages: Iterable[tuple[Key, StreamMessage]]) -> list[StreamMessage]:
        """Return the messages that were not sent yet, or have changed since; a waiting event is sent only once."""
        news = []
        for key, message in messages:
            before = self._told.get(key)
            if before is None or (message.id and before != message.data):
                news.append(message)
            self._told[key] = message.data
            self._told.move_to_end(key)
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return news

    async def _send_changed_status(self, before: bytes) -> bytes:
        status = await self._status()
        now = orjson.dumps(_without_volatile_members(status))
        if now != before and before:
            self._broadcast(_status_message(status))
        return now

    def _broadcast(self, message: StreamMessage) -> None:
        for subscriber in list(self._subscribers):
            subscriber.enqueue(message)


def _key(row: LedgerRow) -> Key:
    return (row.number, row.pixel, row.name, row.id, row.at)


def _row_message(row: Mapping[str, Any]) -> StreamMessage:
    return StreamMessage("row", _text(row), str(row["number"]))


def _status_message(status: Mapping[str, Any]) -> StreamMessage:
    return StreamMessage("status", _text(status))


def _text(document: Mapping[str, Any]) -> str:
    return orjson.dumps(document).decode()


def _without_volatile_members(document: Any) -> Any:
    """Return a status without the members that change all the time."""
    match document:
        case Mapping():
            return {
                key: _without_volatile_members(value) for key, value in document.items() if key not in _VOLATILE_MEMBERS
            }
        case list() | tuple():
            return [_without_volatile_members(value) for value in document]
        case _:
            return document
