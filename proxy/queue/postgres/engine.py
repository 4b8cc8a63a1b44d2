"""The shared queue: one PostgreSQL database for any number of proxies, and a local spool for while it is away.

More than 250 lines: the one place where all parts of the engine meet.
"""

from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow
from proxy.queue.contract import (
    Erased,
    QueueFullError,
    Stats,
    Stored,
    dropped_row,
    duplicate_row,
)
from proxy.queue.group import Group
from proxy.queue.grouper import Grouper, Outcome
from proxy.queue.notes import keyed_updates
from proxy.queue.postgres import orders, seen
from proxy.queue.postgres.append import SharedAppends
from proxy.queue.postgres.archive import SharedArchive
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.dead_letters import SharedDeadLetters
from proxy.queue.postgres.ledger import SharedLedger
from proxy.queue.postgres.notes import SharedNotes
from proxy.queue.postgres.outbox import SharedOutbox
from proxy.queue.postgres.sightings import SharedSightings
from proxy.queue.postgres.suppressing import SharedSuppressing
from proxy.queue.postgres.suppressions import SharedSuppressions
from proxy.queue.postgres.tending import TEND_LANE, Tending
from proxy.queue.postgres.tending_steps import steps
from proxy.queue.postgres.transaction import Run
from proxy.queue.postgres.upkeep import LongTask, SpoolReceiver, Upkeep
from proxy.queue.seal import Sealer
from proxy.queue.sieve import Sieve
from proxy.queue.spool.draining import Draining
from proxy.queue.spool.spool import Spool
from proxy.queue.spool.spool_file import SpoolKind
from proxy.queue.spool.spooling import Spooling

T = TypeVar("T")


class SharedQueue:
    """Implements the whole queue contract on a database that other proxies use too; used on the event loop only."""

    def __init__(  # noqa: PLR0913 - the one place where all of it meets
        self,
        database: Database,
        spool: Spool | None,
        sealer: Sealer,
        *,
        limits: QueueSettings,
        retention: RetentionSettings,
        now: Callable[[], int],
        lease_s: float,
        join_days: int = 7,
        sieve: Sieve | None = None,
        beside: Sequence[LongTask] = (),
    ) -> None:
        """Put the parts together; ``start`` sets them to work.

        Args:
            database: Holds the queue; started by the caller, closed by this queue.
            spool: Takes events while the database is away; None if there is none. Closed by this queue.
            sealer: Encrypts what is stored.
            limits: How much may wait.
            retention: How long finished events, dead letters, rollups and suppressions are kept.
            now: The server's clock in milliseconds.
            lease_s: Seconds without a sign of life after which a process counts as dead.
            join_days: Days for which sightings are kept: the longest time for which any site uses them.
            sieve: Where suppressed people are entered, if other processes share its memory; None: a private one.
            beside: Further tasks that run until the queue is closed.
        """
        self._database, self._spool, self._limits, self._now = database, spool, limits, now
        dead = SharedDeadLetters(sealer)
        self._suppressions = SharedSuppressions(sieve)
        sightings = SharedSightings(sealer)
        self._ledger = SharedLedger(database, sealer, now, days=retention.ledger_days)
        spool_notes = partial(spool.put, SpoolKind.NOTES) if spool else None
        self._notes = SharedNotes(database, self._ledger, seen.owners_of, spool=spool_notes)
        chores = steps(dead, self._ledger, retention, join_days=join_days)
        self._tending = Tending(database, chores, now, leads=lambda: self._outbox.term(TEND_LANE) != 0)
        tasks: Sequence[LongTask] = (self._notes, self._tending, *beside)
        self._upkeep = Upkeep(database, dead, self._suppressions, tasks=tasks, on_learnt=self._wake_draining)
        self._suppressing = SharedSuppressing(database, self._suppressions, sightings, spool)
        self._outbox = SharedOutbox(
            database,
            sealer,
            now,
            ledger=self._ledger,
            dead=dead,
            suppressions=self._suppressions,
            sightings=sightings,
            lease_s=lease_s,
            on_buried=self._upkeep.count_new_letters,
        )
        appends = SharedAppends(database, sealer, self._suppressions, now, on_stored=self._outbox.note_arrivals)
        self._spooling = Spooling(database, spool, sealer, appends.store)
        self._grouper = Grouper(appends.group, self._spooling.store, require=self._require_accepting)
        self._archive = SharedArchive(
            database,
            sealer,
            ledger=self._ledger,
            dead=dead,
            suppress=self._suppressing.suppress,
            now=now,
        )
        self._draining = spool and Draining(
            spool,
            SpoolReceiver(appends, self._suppressing, self._notes),
            sealer,
            here=lambda: database.is_here,
            found=self._note_late_outcomes,
        )
        self._delegate()

    def _delegate(self) -> None:
        """Take the methods of the contract that a single part implements from that part."""
        self.append = self._grouper.append
        self.full_reason = self.refusal_reason
        self.suppress = self._suppressing.suppress
        self.lift = self._suppressing.lift
        self.suppressed = self._suppressing.suppressed
        self.register_lanes = self._outbox.register_lanes
        self.term = self._outbox.term
        self.claim = self._outbox.claim
        self.release = self._outbox.release
        self.settle = self._outbox.settle
        self.expire = self._outbox.expire
        self.lane_state = self._outbox.lane_state
        self.keep_lane_state = self._outbox.keep_lane_state
        self.oldest = self._outbox.oldest
        self.events = self._archive.events
        self.dead_letters = self._archive.dead_letters
        self.suppressions = self._archive.suppressions
        self.replicas = self._archive.replicas
        self.pixel_orders, self.order_pixel = self._archive.pixel_orders, self._archive.order_pixel
        self.lane_reports = self._archive.lane_reports
        self.event_page, self.waiting_events = self._archive.event_page, self._archive.waiting_events
        self.rollups, self.tallies = self._archive.rollups, self._archive.tallies
        self.event_counts, self.period_sums = self._archive.event_counts, self._archive.period_sums
        self.add_tallies = self._archive.add_tallies

    # -- from start to end

    async def start(self) -> None:
        """Read counts, suppressions and leases, if the database is here, and start the background tasks."""
        await self._upkeep.refresh()
        await self._outbox.start()
        self._outbox.leases.request_lanes([TEND_LANE])
        self._upkeep.start()
        if self._draining:
            self._draining.start()

    def _wake_draining(self) -> None:
        if self._draining:
            self._draining.wake()

    def _run(self, role: Role) -> Run:
        return partial(self._database.run, role)

    async def close(self) -> None:
        """See ``Lifetime``; lanes are given back, and what the spool holds stays there."""
        await self._grouper.close()
        if self._draining:
            await self._draining.close()
        await self._upkeep.close(before=self._outbox.close)
        if self._spool:
            await self._spool.close()
        await self._database.close()

    # -- GroupTaker

    def suppressions_version(self) -> int:
        """See ``GroupTaker``."""
        return self._suppressions.version

    def take(self, group: Group, tell: Callable[[Outcome], None]) -> None:
        """See ``GroupTaker``."""
        self._require_accepting()
        self._spooling.store(group, tell)

    # -- Intake

    async def known_server_orders(self, pixel: str, found: Collection[bytes]) -> frozenset[bytes]:
        """See ``Intake``."""
        return frozenset(await orders.known_server_orders(self._run(Role.APPEND), pixel, found, self._now()))

    def note(
        self,
        rows: Sequence[LedgerRow],
        copy_updates: Sequence[BrowserCopyUpdate] = (),
        pixels: Sequence[str] = (),
        visitors: Sequence[bytes] = (b"",),
    ) -> None:
        """See ``Intake``."""
        self._notes.add(rows, keyed_updates(self._now(), copy_updates, pixels, visitors))

    def _note_late_outcomes(self, stored: Stored) -> None:
        """Write ledger rows for spooled events that proved to be duplicates or suppressed only after their answer."""
        now = self._now()
        rows = [duplicate_row(record, now) for record in stored.duplicates]
        rows += [dropped_row(record, reason, now) for record, reason in stored.refused]
        self.note(rows)

    def fullness(self) -> float:
        """See ``Intake``."""
        return self._outbox.backlog.total / self._limits.max_events

    def refusal_reason(self) -> str:
        """See ``Intake``."""
        if not self._database.is_here and (why := self._spool.refusal_reason() if self._spool else "there is no spool"):
            return f"the database is away ({self._database.why_away}), and {why}"
        if self._outbox.backlog.total >= self._limits.max_events:
            return f"{self._limits.max_events} events wait already (queue.max_events)"
        return ""

    def _require_accepting(self) -> None:
        if why := self.refusal_reason():
            raise QueueFullError(why)

    async def ready(self) -> None:
        """See ``Lifetime``; while the database is away, the spool must have room."""
        self._require_accepting()
        if self._database.is_here:
            await self._upkeep.touch()
        self._require_accepting()

    # -- Archive

    def stats(self) -> Stats:
        """See ``Backlog``."""
        return replace(
            self._outbox.stats(),
            dead=self._upkeep.dead,
            lost_notes=self._notes.lost,
            suppressions={kind: count for kind, count in self._suppressions.counts.items() if count},
            foreign_updates=self._notes.foreign_updates,
            spooled=self._spool.events if self._spool else 0,
        )

    async def replay(self, ids: Sequence[int], *, not_before_s: int) -> int:
        """See ``Archive``."""
        return await self._recount_after(self._archive.replay(ids, not_before_s=not_before_s))

    async def discard(self, ids: Sequence[int]) -> int:
        """See ``Archive``."""
        return await self._recount_after(self._archive.discard(ids))

    async def erase(self, person_digests: Collection[bytes], at: int) -> Erased:
        """See ``Archive``."""
        return await self._recount_after(self._archive.erase(person_digests, at))

    async def _recount_after(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        finally:
            await self._outbox.recount()
            await self._upkeep.count()
