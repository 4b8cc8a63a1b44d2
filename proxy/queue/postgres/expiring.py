"""Expiry: events that are too old for Meta become dead letters, also in lanes without a leader.

Lanes that another living process leads are left to it, since it may be sending their events at this moment.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from proxy.graph.age import aging_from_s
from proxy.model.ledger import LedgerRow
from proxy.model.record import Record
from proxy.model.units import DAY_MS
from proxy.model.verdict import Dead
from proxy.queue.contract import NewDeadLetter, Segment, dead_row
from proxy.queue.postgres.claim_filter import rewrite_segment
from proxy.queue.postgres.claim_texts import FACTS
from proxy.queue.postgres.claiming import Claiming
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.ledger import SharedLedger
from proxy.queue.postgres.settling import DeadLetterStore
from proxy.queue.postgres.transaction import Run
from proxy.queue.seal import Sealer

_TOO_OLD = Dead("too_old")
# Segments looked through in one transaction, and their events, at most: each event becomes a sealed row of its own.
_SLICE, _SLICE_RECORDS = 500, 500
_OLD = f"""
SELECT lane, not_before, {FACTS} FROM segment s
WHERE oldest_s < $1::int8 AND id <> ALL($2::uuid[]) AND NOT EXISTS (
  SELECT FROM lane JOIN replica ON replica.id = lane.leader
  WHERE lane.lane = s.lane AND leader <> $3::uuid AND seen_at > now() - $4::float8 * interval '1 second')
ORDER BY oldest_s LIMIT $5::int8 FOR UPDATE OF s SKIP LOCKED
"""  # noqa: S608 - our own text


class Expired(NamedTuple):
    """What became of a slice."""

    events: Counter[str]
    """How many events of each pixel expired."""
    more: bool
    """Whether there may be more."""
    buried: int
    """Dead letters that were added."""
    taken: Sequence[tuple[Segment, int, bool]]
    """Each segment that was looked through, how many of its events expired, and whether it was held."""


class Expiring:
    """Makes dead letters of events that are too old, a slice at a time."""

    def __init__(  # noqa: PLR0913 - all that a burial needs
        self,
        database: Database,
        sealer: Sealer,
        claiming: Claiming,
        *,
        ledger: SharedLedger,
        graveyard: DeadLetterStore,
        lease_s: float,
    ) -> None:
        """Take where events wait, and where they end.

        Args:
            database: Where segments wait.
            sealer: Seals the records that are left of a segment.
            claiming: Opens segments, and knows which are claimed.
            ledger: Where it is written how events ended.
            graveyard: Where dead letters go.
            lease_s: Seconds without a beat after which a process counts as dead.
        """
        self._database = database
        self._sealer = sealer
        self._claiming = claiming
        self._ledger = ledger
        self._graveyard = graveyard
        self._lease_s = lease_s

    async def expire(self, before_s: int, now: int) -> Expired:
        """Make dead letters of a slice of the events that age from before a moment; see ``Outbox.expire``.

        Args:
            before_s: The moment: Unix time in seconds.
            now: Server clock in milliseconds.

        Raises:
            QueueError: when it is not known whether that was done.
        """
        await self._ledger.ensure_tables([now // DAY_MS])
        with self._ledger.writing():
            return await self._database.transact(Role.DELIVER, partial(self._expire, before_s, now))

    async def _expire(self, before_s: int, now: int, run: Run) -> Expired:
        mine = [ref for memory in self._claiming.lanes.values() for ref in (*memory.claims, *memory.damaged)]
        rows = await run(_OLD, before_s, mine, self._database.replica, self._lease_s, _SLICE)
        some = _slice(rows)
        letters: list[NewDeadLetter] = []
        ended: list[LedgerRow] = []
        taken = []
        for row in some:
            if not (segment := self._claiming.open_segment(row["lane"], row)):
                continue
            old = [record for record in segment.records if _is_old(record, before_s)]
            # Rewritten even if no record is old: that corrects ``oldest_s``, so that the segment is not found again.
            await rewrite_segment(
                run, segment, [each for each in segment.records if not _is_old(each, before_s)], self._sealer
            )
            letters += [_letter(record, segment) for record in old]
            ended += [dead_row(record, _TOO_OLD, now, segment.attempts) for record in old]
            taken.append((segment, len(old), row["not_before"] > 0))
        buried = await self._graveyard.add_letters(run, letters)
        await self._ledger.write(run, ended)
        return Expired(Counter(row.pixel for row in ended), len(some) < len(rows) or len(rows) == _SLICE, buried, taken)


def _slice(rows: Sequence[Any]) -> Sequence[Any]:
    """Return the first rows, until they have ``_SLICE_RECORDS`` events together."""
    looked = 0
    for number, row in enumerate(rows, 1):
        looked += row["n"]
        if looked >= _SLICE_RECORDS:
            return rows[:number]
    return rows


def _is_old(record: Record, before_s: int) -> bool:
    return aging_from_s(record.time_s, record.action_source) < before_s


def _letter(record: Record, segment: Segment) -> NewDeadLetter:
    return NewDeadLetter(record, _TOO_OLD.reason, _TOO_OLD.graph_error, segment.attempts)
