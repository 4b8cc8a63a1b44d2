"""What waits for the other copy of its order is decided when it is claimed for the first time.

A page's copy whose place a server's took is a duplicate. A server's event takes from the sightings of its visitor what
it lacks (joining.py), or is dropped. The outcome is written back by whoever asks, in the claim's transaction, so that
every further attempt sends the same bytes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

import orjson

from proxy.graph.payload import worth
from proxy.model.event import DropReason
from proxy.model.join import Join, JoinKind, Sighting, Twin
from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.queue.contract import dropped_row, duplicate_row
from proxy.queue.joining import joined
from proxy.queue.order_copies import doubted, parts_of
from proxy.queue.sightings import forbidden
from proxy.queue.sqlite.sightings import Found
from proxy.queue.sqlite.tables import Tables

_Outcome: TypeAlias = Record | LedgerRow
"""What is sent, or how it ended."""


class PendingRecords:
    """Decides within transactions that others start."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def settled(self, pixel: str, records: Sequence[Record]) -> list[Record]:
        """Return the records of a pixel that are sent, complete; write down how the others ended.

        Args:
            pixel: Its id.
            records: Those of a segment.
        """
        now, tables = self._tables.now(), self._tables
        told = tables.orders.met(pixel, _orders_of(records), now)
        found = tables.sightings.found(_keys_of(records))
        # What a visitor's browser left by other keys may say that an order is somebody else's; of several nobody's is.
        found |= tables.sightings.found(_browsers_of(_only(some.values()) for some in found.values()) - found.keys())
        outcomes: list[_Outcome] = []
        for record in records:
            if isinstance(record.pending, Twin):
                outcomes.append(self._of_page(record, record.pending, told))
            elif isinstance(record.pending, Join):
                outcomes.append(self._of_server(record, record.pending, found))
            else:
                outcomes.append(record)
        self._write([outcome for outcome in outcomes if isinstance(outcome, LedgerRow)])
        return [outcome for outcome in outcomes if isinstance(outcome, Record)]

    def _of_page(self, record: Record, twin: Twin, told: Mapping[bytes, bytes]) -> _Outcome:
        orders, now = parts_of(twin.orders), self._tables.now()
        worths = {told[order] for order in orders if order in told}
        if twin.unpaid == "drop" and not worths:
            # It stays among the unsent: an order that is paid very late counts.
            return dropped_row(record, DropReason.UNPAID, now)
        self._tables.orders.end_wait(record.pixel, orders)
        if not worths:
            return record._replace(pending=None, order=b"")
        ours = _worth(record)
        differs = ours and not worths <= {ours, b""}
        return duplicate_row(doubted(record) if differs else record, now)

    def _of_server(self, record: Record, join: Join, found: Found) -> _Outcome:
        now = self._tables.now()
        keys = {key for _, key in join.keys}
        keys |= _browsers_of(found.get(key, {}).values() for key in keys)
        sightings = {number: each for key in keys for number, each in found.get(key, {}).items()}
        outcome = joined(record, filter(None, map(self._permitted, sightings.values())), now)
        if isinstance(outcome, Record):
            return outcome._replace(order=b"")
        if outcome is DropReason.NO_CONSENT:
            # A page may tell of the order later, with the visitor's consent.
            self._tables.orders.retract(record)
            self._tables.seen.retract(record)
        return dropped_row(record, outcome, now)

    def _permitted(self, sighting: Sighting) -> Sighting | None:
        """Return a sighting as a suppression leaves it that has not come to it in its table."""
        reason = self._tables.suppressions.refusal_of(sighting.person_digests, sighting.at)
        if not reason:
            return sighting
        return None if reason is DropReason.ERASED else forbidden(sighting, reason)

    def _write(self, ended: Sequence[LedgerRow]) -> None:
        if not ended:
            return
        self._tables.ledger.write(ended)
        for row in ended:
            if row.status is Status.DROPPED:
                self._tables.counts.withheld.add(DropReason(row.reason), 1)


def _worth(record: Record) -> bytes:
    """Return the worth of a page's event, which does not rest with it."""
    return worth(record.name, orjson.loads(record.payload).get("custom_data", {}))


def _orders_of(records: Iterable[Record]) -> set[bytes]:
    return {
        order for record in records if isinstance(record.pending, Twin) for order in parts_of(record.pending.orders)
    }


def _keys_of(records: Iterable[Record]) -> set[bytes]:
    return {key for record in records if isinstance(record.pending, Join) for _, key in record.pending.keys}


def _only(sightings: Collection[Sighting]) -> Collection[Sighting]:
    """Return the sightings of a key if they are of one visitor."""
    return sightings if len({each.visitor for each in sightings}) == 1 else ()


def _browsers_of(groups: Iterable[Iterable[Sighting]]) -> set[bytes]:
    return {key for group in groups for each in group for kind, key in each.keys if kind is JoinKind.BROWSER}
