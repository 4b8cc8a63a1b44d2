"""How much a claim takes: of one batch, and of it in one transaction."""

from proxy.queue.contract import Segment
from proxy.queue.keys import fields_key

MOST_CLAIMED_BYTES = 3 << 20
"""Bytes of payloads as Graph gets them; the last segment of a claim may pass them by what it has itself."""
MOST_PENDING = 32
"""Events for which something is looked up, that are claimed in one transaction; only the last segment may pass it. A
look takes some 100 us, and appends wait meanwhile."""


def fields_of(segment: Segment) -> bytes:
    """Return the ``keys.fields_key`` that all records of a segment have."""
    return fields_key(segment.records[0].fields)


def pending_events(segment: Segment) -> int:
    """Return for how many events of a segment something is looked up."""
    return sum([record.pending is not None for record in segment.records])


def wire_size(segment: Segment) -> int:
    """Return the bytes of its payloads as Graph gets them: what its records share is sent with each."""
    return sum([len(record.payload) + len(record.shared) for record in segment.records])
