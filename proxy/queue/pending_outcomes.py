"""What becomes of records that waited for the other copy of their order; pure.

A page's copy is a duplicate if a server's event took its place. A server's event takes from the sightings of its
visitor what it lacks (joining.py), or is dropped.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import orjson

from proxy.graph.payload import worth
from proxy.model.event import DropReason
from proxy.model.join import Join, JoinKind, Sighting, Twin
from proxy.model.ledger import LedgerRow
from proxy.model.record import Record
from proxy.queue.contract import dropped_row, duplicate_row
from proxy.queue.joining import joined
from proxy.queue.order_copies import order_keys_of, with_conflict_finding, with_server_finding

SightingsByKey: TypeAlias = Mapping[bytes, Mapping[Any, Sighting]]
"""For each key the sightings that have it, each by something that tells it from others."""


class CopyOutcome(NamedTuple):
    """What becomes of a record, and what is to be written down with it."""

    result: Record | LedgerRow
    """The record to send, or the ledger row of one that ended."""
    ended_waits: Sequence[bytes] = ()
    """Orders whose pages' copies no longer wait: from now on no server's event takes their place."""
    is_retracted: bool = False
    """Whether the memories must forget that a server brought the event."""


def page_copy_outcome(record: Record, twin: Twin, told: Mapping[bytes, bytes], now: int) -> CopyOutcome:
    """Return what becomes of a page's copy.

    Args:
        record: The copy.
        twin: Its ``pending``.
        told: Orders of which servers brought the event, each with its worth.
        now: Server clock in milliseconds.
    """
    orders = order_keys_of(twin.orders)
    worths = {told[order] for order in orders if order in told}
    if twin.unpaid == "drop" and not worths:
        # The order stays among the unsent ones, so that a server's event still counts when it is paid very late.
        return CopyOutcome(dropped_row(record, DropReason.UNPAID, now))
    if not worths:
        return CopyOutcome(record._replace(pending=None, order=b""), orders)
    ours = _worth(record)
    differs = ours and not worths <= {ours, b""}
    return CopyOutcome(
        duplicate_row(with_server_finding(with_conflict_finding(record) if differs else record), now), orders
    )


def server_event_outcome(
    record: Record, found: SightingsByKey, permitted: Callable[[Sighting], Sighting | None], now: int
) -> CopyOutcome:
    """Return what becomes of a server's event.

    Args:
        record: The event; its ``pending`` is a ``Join``.
        found: The sightings with the keys of ``keys_of`` and ``further_keys``.
        permitted: Returns what suppressions leave of a sighting, None if nothing.
        now: Server clock in milliseconds.
    """
    keys = keys_of([record])
    keys |= _browsers_of(found.get(key, {}).values() for key in keys)
    sightings = {number: each for key in keys for number, each in found.get(key, {}).items()}
    outcome = joined(record, filter(None, map(permitted, sightings.values())), now)
    if isinstance(outcome, Record):
        return CopyOutcome(outcome._replace(order=b""))
    # A page may bring the event later, with the visitor's consent, and then it must count.
    return CopyOutcome(dropped_row(record, outcome, now), is_retracted=outcome is DropReason.NO_CONSENT)


def orders_of(records: Iterable[Record]) -> set[bytes]:
    """Return the orders for which the pages' copies among some records wait for a server's event."""
    return {
        order
        for record in records
        if isinstance(record.pending, Twin)
        for order in order_keys_of(record.pending.orders)
    }


def keys_of(records: Iterable[Record]) -> set[bytes]:
    """Return the keys by which servers' events find their visitors."""
    return {key for record in records if isinstance(record.pending, Join) for _, key in record.pending.keys}


def further_keys(found: SightingsByKey) -> set[bytes]:
    """Return the browser keys (``JoinKind.BROWSER``) of the visitors that were found, to be looked up next.

    A browser's other sightings may show that the order is somebody else's. They are looked up only where a key found a
    single visitor: if it found several, the event takes data from none of them anyway.
    """
    return _browsers_of(_if_one_visitor(some.values()) for some in found.values()) - found.keys()


def _worth(record: Record) -> bytes:
    """Return the worth of a page's event, computed again since it is not stored in the segment."""
    return worth(record.name, orjson.loads(record.payload).get("custom_data", {}))


def _if_one_visitor(sightings: Collection[Sighting]) -> Collection[Sighting]:
    """Return the sightings of a key if they are of one visitor."""
    return sightings if len({each.visitor for each in sightings}) == 1 else ()


def _browsers_of(groups: Iterable[Iterable[Sighting]]) -> set[bytes]:
    return {key for group in groups for each in group for kind, key in each.keys if kind is JoinKind.BROWSER}
