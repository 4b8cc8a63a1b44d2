"""Decides about records that waited for the other copy of their order, when they are claimed for the first time.

The rules are in pending_outcomes.py. The caller writes the outcome back in the claim's transaction, so that every
further attempt sends the same bytes.
"""

from collections.abc import Sequence

from proxy.model.event import DropReason
from proxy.model.join import Join, Sighting, Twin
from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.queue.pending_outcomes import (
    CopyOutcome,
    further_keys,
    keys_of,
    orders_of,
    page_copy_outcome,
    server_event_outcome,
)
from proxy.queue.sightings import forbid_sighting
from proxy.queue.sqlite.tables import Tables


class PendingRecords:
    """Decides within transactions that others start."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def resolve_pending(self, pixel: str, records: Sequence[Record]) -> list[Record]:
        """Return the records of a segment that are sent, completed; write ledger rows of the others.

        Args:
            pixel: Its id.
            records: Those of a segment.
        """
        now, tables = self._tables.now(), self._tables
        told = tables.orders.known_server_orders(pixel, orders_of(records), now)
        found = tables.sightings.find(keys_of(records))
        found |= tables.sightings.find(further_keys(found))
        outcomes: list[CopyOutcome] = []
        for record in records:
            if isinstance(record.pending, Twin):
                outcomes.append(page_copy_outcome(record, record.pending, told, now))
            elif isinstance(record.pending, Join):
                outcomes.append(server_event_outcome(record, found, self._permitted, now))
            else:
                outcomes.append(CopyOutcome(record))
            self._note(record, outcomes[-1])
        self._write([outcome.result for outcome in outcomes if isinstance(outcome.result, LedgerRow)])
        return [outcome.result for outcome in outcomes if isinstance(outcome.result, Record)]

    def _note(self, record: Record, outcome: CopyOutcome) -> None:
        if outcome.ended_waits:
            self._tables.orders.end_wait(record.pixel, outcome.ended_waits)
        if outcome.is_retracted:
            self._tables.orders.retract(record)
            self._tables.seen.retract(record)

    def _permitted(self, sighting: Sighting) -> Sighting | None:
        """Return what a suppression leaves of a sighting, None if nothing, in case its table does not show it yet."""
        reason = self._tables.suppressions.refusal_of(sighting.person_digests, sighting.at)
        if not reason:
            return sighting
        return None if reason is DropReason.ERASED else forbid_sighting(sighting, reason)

    def _write(self, ended: Sequence[LedgerRow]) -> None:
        if not ended:
            return
        self._tables.ledger.write(ended)
        for row in ended:
            if row.status is Status.DROPPED:
                self._tables.counts.withheld.add(DropReason(row.reason), 1)
