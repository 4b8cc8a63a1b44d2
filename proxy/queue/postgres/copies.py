"""Finds the other copies of orders for claimed events that waited for them; see pending_outcomes.py."""

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.model.event import DropReason
from proxy.model.join import Join, Sighting, Twin
from proxy.model.ledger import LedgerRow
from proxy.model.record import Record
from proxy.queue.pending_outcomes import (
    CopyOutcome,
    SightingsByKey,
    further_keys,
    keys_of,
    orders_of,
    page_copy_outcome,
    server_event_outcome,
)
from proxy.queue.postgres import orders, seen
from proxy.queue.postgres.sightings import SharedSightings
from proxy.queue.postgres.suppressions import SharedSuppressions
from proxy.queue.postgres.transaction import Run
from proxy.queue.sightings import forbid_sighting


class OtherCopies:
    """Decides what becomes of events that waited for another copy, within transactions that its callers start."""

    def __init__(self, sightings: SharedSightings, suppressions: SharedSuppressions) -> None:
        """Take the tables to ask.

        Args:
            sightings: What pages' events left of their visitors.
            suppressions: Know who is suppressed.
        """
        self._sightings = sightings
        self._suppressions = suppressions

    async def resolve_pending(
        self, run: Run, pixel: str, records: Sequence[Record], now: int
    ) -> tuple[list[Record], list[LedgerRow]]:
        """See ``Copies``."""
        told = await orders.lock_known_server_orders(run, pixel, orders_of(records), now) if orders_of(records) else {}
        found = await self._found(run, records)
        permitted = await self._permitted(run, found)
        outcomes = []
        for record in records:
            outcomes.append(_outcome(record, told, found, permitted, now))
            await _note(run, record, outcomes[-1])
        results = [outcome.result for outcome in outcomes]
        return (
            [result for result in results if isinstance(result, Record)],
            [result for result in results if isinstance(result, LedgerRow)],
        )

    async def _found(self, run: Run, records: Sequence[Record]) -> dict[bytes, dict[Any, Sighting]]:
        if not (keys := keys_of(records)):
            return {}
        found = await self._sightings.find(run, keys)
        further = further_keys(found)
        return found | await self._sightings.find(run, further) if further else found

    async def _permitted(self, run: Run, found: SightingsByKey) -> Mapping[int, Sighting | None]:
        """Return sightings, by their ``id()``, as suppressions leave them: unchanged, forbidden, or None if erased.

        The table may still have them unchanged: a suppression is committed before it changes the people's sightings.
        """
        sightings = list({id(each): each for some in found.values() for each in some.values()}.values())
        if not sightings:
            return {}
        digests = {digest for each in sightings for digest in each.person_digests}
        refusals = await self._suppressions.refusals(run, digests)
        return {id(each): _usable_sighting(each, refusals.of_sighting(each)) for each in sightings}


def _usable_sighting(sighting: Sighting, reason: DropReason | None) -> Sighting | None:
    if reason is None:
        return sighting
    return None if reason is DropReason.ERASED else forbid_sighting(sighting, reason)


def _outcome(
    record: Record,
    told: Mapping[bytes, bytes],
    found: SightingsByKey,
    permitted: Mapping[int, Sighting | None],
    now: int,
) -> CopyOutcome:
    match record.pending:
        case Twin():
            return page_copy_outcome(record, record.pending, told, now)
        case Join():
            return server_event_outcome(record, found, lambda sighting: permitted[id(sighting)], now)
        case None:
            return CopyOutcome(record)


async def _note(run: Run, record: Record, outcome: CopyOutcome) -> None:
    if outcome.ended_waits:
        await orders.end_wait(run, record.pixel, outcome.ended_waits)
    if outcome.is_retracted:
        await orders.retract(run, record)
        await seen.retract(run, record)
