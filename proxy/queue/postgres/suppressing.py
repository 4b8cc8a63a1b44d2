"""Suppressing people in the shared queue: ``Suppressing`` of the contract, also while the database is away.

A suppression that cannot be written to the database now goes into the spool, from which it reaches the database before
any event does. Until then this process knows of it by its sieve.
"""

from collections.abc import Collection
from contextlib import suppress
from functools import partial

import msgspec

from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import QueueError
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.errors import DatabaseAwayError
from proxy.queue.postgres.sightings import SharedSightings
from proxy.queue.postgres.suppressions import SharedSuppressions
from proxy.queue.postgres.transaction import Run
from proxy.queue.refusal import REASONS
from proxy.queue.spool.spool import Spool
from proxy.queue.spool.spool_file import SpoolKind

# Seconds: a suppression that another proxy made longer ago is found by whoever asks for the person.
_LOOK_S = 0.25
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[list[bytes], SuppressionKind, int]).decode


class SharedSuppressing:
    """Suppresses people, and lifts suppressions; used on the event loop only."""

    def __init__(
        self, database: Database, suppressions: SharedSuppressions, sightings: SharedSightings, spool: Spool | None
    ) -> None:
        """Take the tables that are changed.

        Args:
            database: Where suppressions are.
            suppressions: What this process knows of them.
            sightings: What pages' events left of the people.
            spool: Takes suppressions while the database is away; None: they are refused then.
        """
        self._database = database
        self._suppressions = suppressions
        self._sightings = sightings
        self._spool = spool

    async def suppress(self, person_digests: Collection[bytes], kind: SuppressionKind, at: int) -> None:
        """See ``Suppressing``; the people's sightings are changed in slices afterwards, so that appends wait little."""
        try:
            await self._write(Role.APPEND, person_digests, kind, at)
        except DatabaseAwayError:
            if self._spool is None:
                raise
            await self._spool.put(SpoolKind.SUPPRESSION, _encode((sorted(person_digests), kind, at)), in_doubt=True)
            self._suppressions.add_to_sieve(person_digests)

    async def write_spooled(self, body: bytes) -> None:
        """Store a suppression that was spooled; it may have been stored before.

        Raises:
            QueueError: when it was not stored.
        """
        try:
            found = _decode(body)
        except msgspec.MsgspecError as error:
            raise QueueError("a spooled suppression has not the form that this version knows") from error
        await self._write(Role.DRAIN, *found)

    async def _write(self, role: Role, person_digests: Collection[bytes], kind: SuppressionKind, at: int) -> None:
        new = await self._database.transact(role, lambda run: self._suppressions.add(run, person_digests, kind, at))
        self._suppressions.count_more(kind, new)
        with suppress(DatabaseAwayError):  # sightings not reached yet are forbidden by the suppression itself
            while await self._database.transact(role, partial(self._forbid, person_digests, kind)):
                pass

    async def _forbid(self, person_digests: Collection[bytes], kind: SuppressionKind, run: Run) -> bool:
        """Forbid a slice of people's sightings, or remove it for an erasure; tell whether there may be more."""
        if kind is SuppressionKind.ERASURE:
            return await self._sightings.erase(run, person_digests)
        return await self._sightings.forbid(run, person_digests, REASONS[kind])

    async def lift(
        self, person_digests: Collection[bytes], kinds: Collection[SuppressionKind], at: int
    ) -> list[SuppressionKind]:
        """See ``Suppressing``."""
        if not await self._may_be_suppressed(person_digests):
            return []
        lifted = await self._database.run(Role.APPEND, *self._suppressions.lifting(person_digests, kinds, at))
        ended = [self._suppressions.count_less(row["kind"]) for row in lifted]
        return sorted(ended, key=list(kinds).index)

    async def suppressed(self, person_digests: Collection[bytes]) -> set[SuppressionKind]:
        """See ``Suppressing``."""
        if not await self._may_be_suppressed(person_digests):
            return set()
        return await self._suppressions.kinds_of(self._run, person_digests)

    async def _may_be_suppressed(self, person_digests: Collection[bytes]) -> bool:
        """Tell whether any of these people may be suppressed, at whichever proxy."""
        if any(map(self._suppressions.may_hold, person_digests)):
            return True
        with suppress(DatabaseAwayError):
            await self._suppressions.catch_up_if_stale(self._run, _LOOK_S)
        return any(map(self._suppressions.may_hold, person_digests))

    @property
    def _run(self) -> Run:
        return partial(self._database.run, Role.APPEND)
