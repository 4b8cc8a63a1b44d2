"""Where the state of alerts rests: a file of this machine, and for what all proxies of a queue share, the queue."""

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
"""The lane whose leader tells of what all proxies of a queue share; its state is kept as that of a pixel's lane is."""
_MOST_BYTES = 4 << 20


class StateFile:
    """Keeps a state in a file, replaced whole; nobody waits for the disk, so that a write that hangs delays nothing."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / STATE_FILE
        self._latest: bytes | None = None
        self._written: bytes | None = None
        self._task: asyncio.Task[None] | None = None
        self._fails = False

    def read(self) -> AlertState:
        """Return the state as it was written last; an empty one where there is none, or none that can be read."""
        try:
            with self._path.open("rb") as file:
                return decoded(file.read(_MOST_BYTES))
        except OSError:
            return AlertState()

    def keep(self, state: AlertState) -> None:
        """Write a state soon."""
        self._latest = encoded(state)
        if self._latest != self._written and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._write(), name="alert state")

    async def close(self, seconds: float) -> None:
        """Wait until what was to be written is, at most so long."""
        if self._task:
            await asyncio.wait([self._task], timeout=seconds)

    async def _write(self) -> None:
        while self._latest is not None and self._latest != self._written:
            latest = self._latest
            try:
                await asyncio.to_thread(self._replace, latest)
            except OSError as error:
                # A full disk is what alerts may be about: they go on, and a restart would repeat some.
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
    """Keeps a state in the queue, for whichever proxy tells of it next."""

    def __init__(self, queue: Outbox) -> None:
        self._queue = queue

    @property
    def term(self) -> int:
        """A number, another one each time that this proxy begins to tell; 0 while another one does."""
        return self._queue.term(LANE)

    async def wish(self) -> None:
        """Take part in the choice of who tells."""
        try:
            state = await self._queue.lane_state(LANE)
            await self._queue.keep_lane_state(LANE, state)
        except QueueError:
            pass  # as long as the database is away nobody tells; it is asked again

    async def read(self) -> AlertState | None:
        """Return the state as whoever told before left it; None while the queue cannot tell."""
        try:
            state = await self._queue.lane_state(LANE)
        except QueueError:
            return None
        return decoded(state.last_error.encode()) if state.last_error else AlertState()

    async def keep(self, state: AlertState) -> None:
        """Write a state; what cannot be written now is, with the next change."""
        try:
            await self._queue.keep_lane_state(LANE, DeliveryState(last_error=encoded(state).decode()))
        except QueueError as error:
            log.info("the state of alerts cannot be kept in the queue (%s)", error)
