"""The shared suppressions: who opted out, withdrew consent or was erased, at whichever proxy.

Each process has a sieve in memory (sieve.py); the table is asked only about the few people whom the sieve lets through.
A process learns of other processes' suppressions by their *version*: a number in ``meta``, raised by each transaction
that writes suppressions. The raise locks the row, so versions are in commit order, and none is missed. Every append
reads the number, and so does every claim, which catches up before it decides. So an append may miss a suppression that
is made elsewhere at the same moment; a claim that begins after the suppression's commit never misses it.

A process may read a version that no standby has yet. A fail-over loses that version, and the new primary may give the
same number to another suppression. Therefore versions are milliseconds of the database's clock, and when the database
comes back, a process reads again the last day of the versions that it knows.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from proxy.config.schema import RetentionSettings
from proxy.model.event import DropReason
from proxy.model.join import Sighting
from proxy.model.record import Record
from proxy.model.suppression import SuppressionKind
from proxy.model.units import DAY_MS
from proxy.queue.postgres.transaction import Run
from proxy.queue.refusal import refusal
from proxy.queue.sieve import PREFIX, Sieve

TABLES = (
    """CREATE TABLE IF NOT EXISTS mark(
        digest bytea NOT NULL, kind text NOT NULL, at int8 NOT NULL, version int8 NOT NULL, PRIMARY KEY (digest, kind)
    )""",
    "CREATE INDEX IF NOT EXISTS mark_version ON mark(version, digest)",
    "CREATE INDEX IF NOT EXISTS mark_age ON mark(kind, at)",
    "INSERT INTO meta(key, number) VALUES('marks', 0) ON CONFLICT DO NOTHING",
)
MOST = 2_000_000
"""How many opt-outs are kept, and as many withdrawals of consent; beyond, the oldest are forgotten."""
# Suppressions read, or forgotten, in one statement.
_SLICE = 10_000
_SUPPRESS = """
WITH next AS (
  UPDATE meta SET number = greatest(number + 1, (extract(epoch FROM clock_timestamp()) * 1000)::int8)
  WHERE key = 'marks' RETURNING number
)
INSERT INTO mark(digest, kind, at, version)
SELECT d.digest, $2::text, $3::int8, next.number FROM next, unnest($1::bytea[]) d(digest) ORDER BY d.digest
ON CONFLICT (digest, kind) DO UPDATE SET at = greatest(mark.at, excluded.at), version = excluded.version
RETURNING 1"""
_LIFT = "DELETE FROM mark WHERE digest = ANY($1::bytea[]) AND kind = ANY($2::text[]) AND at <= $3::int8 RETURNING kind"
_OF = "SELECT digest, kind, at FROM mark WHERE digest = ANY($1::bytea[])"
_VERSION = "SELECT number FROM meta WHERE key = 'marks'"
_SINCE = """
SELECT version, digest FROM mark WHERE (version, digest) > ($1::int8, $2::bytea) ORDER BY version, digest LIMIT $3"""
_COUNT = "SELECT kind, count(*) AS count FROM mark GROUP BY kind"
_FORGET = """
DELETE FROM mark WHERE kind = $1::text AND digest = ANY(
  ARRAY(SELECT digest FROM mark WHERE kind = $1::text AND at < $2 ORDER BY at LIMIT $3))
RETURNING 1"""
_BEYOND = "SELECT at FROM mark WHERE kind = $1 ORDER BY at DESC OFFSET $2 LIMIT 1"
_LAST = b"\xff" * 16
# Longer than a primary may write what no standby has until one is promoted, even one whose clock is behind.
_DOUBT_MS = DAY_MS


class Refusals(NamedTuple):
    """The suppressions of some people, as a statement found them."""

    found: Mapping[bytes, list[tuple[SuppressionKind, int]]]

    def of_record(self, record: Record) -> DropReason | None:
        """Return why a suppression forbids a record, or None."""
        return self.of(record.person_digests, record.time_s * 1000)

    def of_sighting(self, sighting: Sighting) -> DropReason | None:
        """Return why a suppression forbids the use of a sighting, or None."""
        return self.of(sighting.person_digests, sighting.at)

    def of(self, person_digests: Iterable[bytes], happened: int) -> DropReason | None:
        """Return why a suppression of these people forbids what they did at a moment in milliseconds, or None."""
        for digest in person_digests:
            if digest in self.found and (reason := refusal(self.found[digest], happened)):
                return reason
        return None


class SharedSuppressions:
    """What this process knows of the suppressions, and how their table is asked; used on the event loop only."""

    def __init__(self, sieve: Sieve | None = None) -> None:
        """Know nobody yet: ``catch_up`` is to be called before anything is stored.

        Args:
            sieve: A sieve whose memory other processes read too; None: a private one.
        """
        self._sieve = sieve or Sieve()
        self.may_hold: Callable[[bytes], bool] = self._sieve.may_hold
        """See ``Sieve``."""
        self.version = 0
        """Grows whenever the sieve has learnt of suppressions; a count of this process, not the number in ``meta``."""
        self.counts: dict[SuppressionKind, int] = {}
        """How many there were of each kind at the last count, changed by what this process did since."""
        self._known = 0
        self._looked = 0.0

    async def catch_up(self, run: Run, version: int | None = None) -> None:
        """Let the sieve learn of all suppressions that are committed.

        Args:
            run: Runs the statements.
            version: The number in ``meta``, where the caller has read it: if it is known already, nothing is read.
                None: read it first.
        """
        self._looked = time.monotonic()
        if version is None:
            ((version,),) = await run(_VERSION)
        if version <= self._known:
            return
        position = (self._known, _LAST)
        while rows := await run(_SINCE, *position, _SLICE):
            for row in rows:
                self._sieve.remember(row["digest"][:PREFIX])
            position = (rows[-1]["version"], rows[-1]["digest"])
        self._known = max(version, position[0])
        self.version += 1

    def reread_last_day(self) -> None:
        """Let ``catch_up`` read the last day again: a fail-over may have lost versions, and given them to others."""
        self._known = max(0, self._known - _DOUBT_MS)

    def is_behind(self, version: int) -> bool:
        """Tell whether a version, read from ``meta``, is newer than what this process knows."""
        return version > self._known

    async def catch_up_if_stale(self, run: Run, most_s: float) -> None:
        """Catch up, unless that was done within the last ``most_s`` seconds."""
        if time.monotonic() - self._looked > most_s:
            await self.catch_up(run)

    def may_concern(self, records: Iterable[Record]) -> bool:
        """Tell quickly, from memory, whether anybody whom these records are about may be suppressed."""
        return any(self.may_hold(digest) for record in records for digest in record.person_digests)

    async def refusals(self, run: Run, person_digests: Iterable[bytes]) -> Refusals:
        """Return the suppressions of people from the table, which is not read if the sieve knows none of them."""
        asked = sorted(filter(self.may_hold, set(person_digests)))
        found: dict[bytes, list[tuple[SuppressionKind, int]]] = {}
        for row in await run(_OF, asked) if asked else ():
            found.setdefault(row["digest"], []).append((SuppressionKind.stored(row["kind"]), row["at"]))
        return Refusals(found)

    async def add(self, run: Run, person_digests: Iterable[bytes], kind: SuppressionKind, at: int) -> int:
        """Suppress people; of two suppressions of one kind the later one counts. Return how many are new.

        Args:
            run: Within a transaction.
            person_digests: 16 bytes each.
            kind: The kind of the suppression.
            at: Server clock in milliseconds.
        """
        digests = sorted(set(person_digests))
        if not digests:
            return 0
        before = {row["digest"] for row in await run(_OF, digests) if row["kind"] == kind}
        await run(_SUPPRESS, digests, kind, at)
        self.add_to_sieve(digests)
        return len(digests) - len(before)

    def add_to_sieve(self, person_digests: Iterable[bytes]) -> None:
        """Enter people into the sieve, whether their suppression is in the database or in the spool."""
        for digest in person_digests:
            self._sieve.remember(digest)
        self.version += 1

    @staticmethod
    def lifting(
        person_digests: Iterable[bytes], kinds: Iterable[SuppressionKind], at: int
    ) -> tuple[str, list[bytes], list[SuppressionKind], int]:
        """Return a statement that ends suppressions and returns their kinds, and its arguments.

        Args:
            person_digests: 16 bytes each.
            kinds: Which kinds end.
            at: Server clock in milliseconds; younger suppressions stay.
        """
        return _LIFT, sorted(set(person_digests)), sorted(kinds), at

    async def kinds_of(self, run: Run, person_digests: Iterable[bytes]) -> set[SuppressionKind]:
        """Return the kinds of suppression that people have."""
        found = (await self.refusals(run, person_digests)).found
        return {kind for some in found.values() for kind, _ in some}

    async def count(self, run: Run) -> None:
        """Count the suppressions again, since other processes add and remove some."""
        counts: Counter[SuppressionKind] = Counter()
        for row in await run(_COUNT):
            counts[SuppressionKind.stored(row["kind"])] += row["count"]
        self.counts = counts

    def count_more(self, kind: SuppressionKind, number: int) -> None:
        """Note that this process added so many."""
        if number:
            self.counts[kind] = self.counts.get(kind, 0) + number

    def count_less(self, kind: str) -> SuppressionKind:
        """Note that this process removed a suppression; return its kind."""
        found = SuppressionKind(kind)
        self.counts[found] = self.counts.get(found, 1) - 1
        if self.counts[found] <= 0:
            del self.counts[found]
        return found


async def forget(run: Run, now: int, retention: RetentionSettings, most: int = MOST) -> bool:
    """Remove a slice of the suppressions whose time is over; tell whether there may be more.

    Args:
        run: Runs the statements.
        now: Server clock in milliseconds.
        retention: How long each kind counts.
        most: How many of each kind are kept; erasures are all kept until their time is over.
    """
    days = dict.fromkeys(SuppressionKind, retention.opted_out_days)
    days[SuppressionKind.ERASURE] = retention.erased_days
    most_removed = 0
    for kind, most_days in days.items():
        before = now - most_days * DAY_MS
        if kind is not SuppressionKind.ERASURE and (rows := await run(_BEYOND, kind, most)):
            before = max(before, rows[0]["at"] + 1)
        most_removed = max(most_removed, len(await run(_FORGET, kind, before, _SLICE)))
    return most_removed == _SLICE
