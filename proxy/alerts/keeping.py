"""Where the state of alerts is stored: in a file of this machine, and in the queue for what all its proxies share."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Final

from proxy.alerts.state import AlertState, decoded, encoded
from proxy.queue.contract import DeliveryState, Outbox, QueueError

log = logging.getLogger(__name__)

STATE_FILE: Final = "alerts.json"
LANE: Final = "@alerts"
"""The name of a lane without a pixel: its leader alerts for all proxies of a queue, and stores their state in it."""
_MOST_BYTES = 4 << 20


class StateFile:
    """Keeps a state in a file, replaced as a whole; it is written in a thread, so that a slow disk delays nothing."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / STATE_FILE
        self._latest: bytes | None = None
        self._written: bytes | None = None
        self._task: asyncio.Task[None] | None = None
        self._fails = False

    def read(self) -> AlertState:
        """Return the state as it was written last; an empty one when there is none, or it cannot be read."""
        try:
            with self._path.open("rb") as file:
                return decoded(file.read(_MOST_BYTES))
        except OSError:
            return AlertState()

    def keep(self, state: AlertState) -> None:
        """Start to write a state in the background, unless it is written already."""
        self._latest = encoded(state)
        if self._latest != self._written and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._write(), name="alert state")

    async def close(self, seconds: float) -> None:
        """Wait for the write under way, at most ``seconds``."""
        if self._task:
            await asyncio.wait([self._task], timeout=seconds)

    async def _write(self) -> None:
        while self._latest is not None and self._latest != self._written:
            latest = self._latest
            try:
                await asyncio.to_thread(self._replace, latest)
            except OSError as error:
                # Alerts may be about this very disk: they go on, and a restart may repeat some.
                if not self._fails:
                    log.warning("the state of alerts cannot be written (%s)", error.strerror)
                self._fails = True
                return
            self._written, self._fails = latest, False

    def _replace(self, text: bytes) -> None:
        temporary = self._path.with_suffix(".new")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)


class StateLane:
    """Keeps a state in the queue, for the proxy that next becomes the one that alerts for all."""

    def __init__(self, queue: Outbox) -> None:
        self._queue = queue

    @property
    def term(self) -> int:
        """A number that changes each time this proxy becomes the one that alerts for all; 0 while another one does."""
        return self._queue.term(LANE)

    async def request_lease(self) -> None:
        """Try to become the proxy that alerts for all: keeping the state of a lane also asks for its lease."""
        try:
            state = await self._queue.lane_state(LANE)
            await self._queue.keep_lane_state(LANE, state)
        except QueueError:
            pass  # while the database is away no proxy alerts for all; the next tick tries again

    async def read(self) -> AlertState | None:
        """Return the state as the earlier leader left it; None while the queue cannot be read."""
        try:
            state = await self._queue.lane_state(LANE)
        except QueueError:
            return None
        return decoded(state.last_error.encode()) if state.last_error else AlertState()

    async def keep(self, state: AlertState) -> None:
        """Store a state; after an error it is stored with the next call."""
        try:
            await self._queue.keep_lane_state(LANE, DeliveryState(last_error=encoded(state).decode()))
        except QueueError as error:
            log.info("the state of alerts cannot be kept in the queue (%s)", error)
