"""A spool on disk, and a fake database whose failures a test sets."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clock import NOON
from support import SECRET

from proxy.model.record import Record
from proxy.queue.contract import QueueBrokenError, QueueError, Stored
from proxy.queue.group import Append, Group, make_group
from proxy.queue.postgres.errors import DatabaseAwayError
from proxy.queue.seal import Sealer
from proxy.queue.spool.spool import Spool

SEALER = Sealer(SECRET)


class Sieve:
    """Suppressions that may hold the given digests."""

    version = 0

    def __init__(self, *digests: bytes) -> None:
        self._digests = digests

    def may_hold(self, digest: bytes) -> bool:
        return digest in self._digests


def grouped(*calls: Append | Sequence[Record], sieve: Sieve | None = None) -> Group:
    """Return the group of some appends."""
    made = [call if isinstance(call, Append) else Append(call) for call in calls]
    return make_group(made, SEALER, sieve or Sieve())


def open_spool(
    directory: Path,
    *,
    most_bytes: int = 1 << 30,
    min_free_bytes: int = 0,
    on_broken: Callable[[QueueBrokenError], None] = lambda _error: None,
) -> Spool:
    """Open the spool of a directory."""
    return Spool.open(
        directory, most_bytes=most_bytes, min_free_bytes=min_free_bytes, now=lambda: NOON, on_broken=on_broken
    )


@dataclass
class FakeDatabase:
    """A database that stores each event once; of ``lose_answers`` appends it stores the events but gives no answer."""

    is_here: bool = True
    why_away: str = "unplugged"
    commit_timeout: float = 60.0
    lose_answers: int = 0
    refuse: str = ""
    """The id of an event that it refuses."""
    known: dict[str, Record] = field(default_factory=dict)
    statements: list[int] = field(default_factory=list)
    """The number of events of each append."""
    steps: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def direct(self, group: Group) -> list[Stored | QueueError]:
        return await self.append(group.calls, 0)

    async def append(self, appends: Sequence[Append], at: int) -> list[Stored | QueueError]:
        del at
        await self.gate.wait()
        if not self.is_here:
            raise DatabaseAwayError(self.why_away)
        records = [record for append in appends for record in append.records]
        if any(record.id == self.refuse for record in records):
            raise QueueError("what no table takes")
        self.statements.append(len(records))
        self.steps += [record.id for record in records]
        told: list[Stored | QueueError] = []
        for append in appends:
            told.append(Stored(tuple(record for record in append.records if record.id in self.known)))
            self.known |= {record.id: record for record in append.records}
        if self.lose_answers:
            self.lose_answers -= 1
            self.is_here = False
            raise DatabaseAwayError("no answer")
        return told

    async def suppression(self, body: bytes) -> None:
        if not self.is_here:
            raise DatabaseAwayError(self.why_away)
        self.steps.append(f"suppression {body.decode()}")

    async def notes(self, body: bytes, at: int) -> None:
        del at
        if not self.is_here:
            raise DatabaseAwayError(self.why_away)
        self.steps.append(f"notes {body[:9].decode(errors='replace')}")
