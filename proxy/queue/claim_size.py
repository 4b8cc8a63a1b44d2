"""How much a claim takes for one batch, and how much of that in one transaction."""

from proxy.queue.contract import Segment
from proxy.queue.keys import fields_key

MOST_CLAIMED_BYTES = 3 << 20
"""Most bytes of payloads, as Graph gets them, in one claim; only the last segment of the claim may exceed it."""
MOST_PENDING = 32
"""Most events with something to look up (``Record.pending``) that are claimed in one transaction; only the last segment
may exceed it. A look-up takes some 100 us, and appends wait meanwhile."""


def fields_key_of(segment: Segment) -> bytes:
    """Return the ``keys.fields_key`` that all records of a segment have."""
    return fields_key(segment.records[0].fields)


def pending_events(segment: Segment) -> int:
    """Return how many events of a segment have something to look up before they are sent (``Record.pending``)."""
    return sum([record.pending is not None for record in segment.records])


def wire_size(segment: Segment) -> int:
    """Return the bytes of a segment's payloads as Graph gets them: the part that records share is sent with each."""
    return sum([len(record.payload) + len(record.shared) for record in segment.records])
