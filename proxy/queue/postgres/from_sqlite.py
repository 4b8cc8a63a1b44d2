"""The move of a queue from SQLite: a start with the shared engine copies what the old file holds, then renames it.

Suppressions come first, then the memories by which repeats are recognised, sightings, dead letters, and at last the
waiting events. A slice is copied in one transaction, which also writes how far the copy has come: if the process ends
or an answer is lost, the next attempt goes on from there, and nothing is copied twice. Meanwhile new events are taken
and delivered. The ledger stays in the old file, which ``capi-proxy export`` reads.

The records of segments and dead letters do not change (old_file.py seals them again), nor do their attempts, moments
and keys.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import apsw

from proxy.model.condition import ConditionBoard
from proxy.queue.contract import QueueError
from proxy.queue.postgres import old_rows
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.old_file import FilePlace, OldFile, Slice
from proxy.queue.postgres.old_rows import OldRows
from proxy.queue.postgres.transaction import Run
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.connection import advice

log = logging.getLogger(__name__)

MOVED = ".moved"
"""Appended to the name of a file when all of it is in the database."""
_AGAIN_S = 1.0

_BEGIN = "INSERT INTO meta(key, number, bytes) VALUES($1, 0, '') ON CONFLICT DO NOTHING"
_PLACE = "SELECT number, bytes FROM meta WHERE key = $1 FOR UPDATE"
_GO_ON = "UPDATE meta SET number = $2, bytes = $3 WHERE key = $1"


class _Write(Protocol):
    async def __call__(self, run: Run, rows: Sequence[Any]) -> object:
        """Write a slice within a transaction."""


class _Part(NamedTuple):
    """One kind of thing that a file holds."""

    read: Callable[[FilePlace], Slice]
    write: _Write


class OldQueue:
    """Moves one file into the database."""

    def __init__(  # noqa: PLR0913 - whence, whereto, and who hears of it
        self,
        path: Path,
        sealer: Sealer,
        database: Database,
        dead: SharedDeadLetters,
        now: Callable[[], int],
        *,
        conditions: ConditionBoard | None = None,
    ) -> None:
        """Open the file.

        Args:
            path: The file of a locked data_dir in which no queue is open.
            sealer: Opens what is sealed in the file.
            database: Where the rows go.
            dead: Where the dead letters go.
            now: The server's clock in milliseconds.
            conditions: Is told if the file cannot be moved.

        Raises:
            QueueBrokenError: when the file cannot be used; the message says what to do.
        """
        self._path = path
        self._conditions = conditions
        self._database = database
        self._file = OldFile(path, sealer, now)
        self._closing = asyncio.Event()
        file, rows = self._file, OldRows(self._file.id, dead)
        self._parts: Mapping[str, _Part] = {
            "suppressions": _Part(file.suppressions, old_rows.write_suppressions),
            "seen": _Part(file.seen, old_rows.write_seen),
            "orders": _Part(file.orders, old_rows.write_orders),
            "unsent_orders": _Part(file.unsent_orders, old_rows.write_unsent_orders),
            "sightings": _Part(file.sightings, rows.sightings),
            "dead_letters": _Part(file.dead_letters, rows.dead_letters),
            "segments": _Part(file.segments, rows.segments),
        }

    async def run(self) -> None:
        """Copy until all is copied, whatever the database does meanwhile, then rename the file; or until closed."""
        log.info("%s is moved into the database", self._path)
        try:
            copied = await self._copied_all()
        finally:
            self._file.close()
        if not self._closing.is_set():
            name = self._renamed()
            log.info("%d rows were moved into the database; the old file is %s now", copied, name)

    async def _copied_all(self) -> int:
        """Copy all, or until closed; return how many rows."""
        copied = 0
        while not self._closing.is_set():
            try:
                return copied + await self._copied_rest()
            except QueueError as error:
                log.debug("the move waits: %s", error)
                await self._pause(_AGAIN_S)
            except Exception as error:  # noqa: BLE001 - whatever it is, the file stays, and somebody must hear of it
                self._give_up(error)
        return copied

    def _give_up(self, error: Exception) -> None:
        """Leave the file where it is: what could be read is in the database; a backup may have the rest."""
        reason = advice(error) if isinstance(error, apsw.Error) else f"a fault of ours: {type(error).__name__}"
        why = f"{self._path} cannot be moved any further, and stays where it is: {reason}"
        log.error(why, exc_info=error)
        if self._conditions:
            self._conditions.report("housekeeping", self._path.name, why)
        self._closing.set()

    def close(self) -> None:
        """Let ``run`` end after the slice that it is at."""
        self._closing.set()

    async def _pause(self, seconds: float) -> None:
        waits = asyncio.ensure_future(self._closing.wait())
        await asyncio.wait((waits,), timeout=seconds)
        waits.cancel()

    async def _copied_rest(self) -> int:
        """Copy what is not copied yet; return how many rows."""
        total = 0
        for name, part in self._parts.items():
            work = partial(self._copy_slice, f"file:{self._file.id.hex()}:{name}", part)
            while not self._closing.is_set() and (rows := await self._database.transact(Role.DRAIN, work)) is not None:
                total += rows
        return total

    async def _copy_slice(self, key: str, part: _Part, run: Run) -> int | None:
        """Copy the next slice; return how many rows, or None where there is no more."""
        await run(_BEGIN, key)
        ((number, last),) = await run(_PLACE, key)
        place = FilePlace(number, last)
        rows, following = part.read(place)
        if following == place:
            return None
        if rows:
            await part.write(run, rows)
        await run(_GO_ON, key, *following)
        return len(rows)

    def _renamed(self) -> str:
        """Keep the file under another name, which no start looks for and no other file has; return the name."""
        names = (f"{self._path.name}{MOVED}{number or ''}" for number in count())
        moved = next(path for path in map(self._path.with_name, names) if not path.exists())
        self._path.rename(moved)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return moved.name
