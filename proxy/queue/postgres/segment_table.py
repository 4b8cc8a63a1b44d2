"""The shared table of waiting events: sealed segments, whose records are rewritten only to complete or to remove some.

A lane is what one leader delivers; the column has the id of its pixel. ``id`` names a segment for good: a UUIDv7 that
the proxy which stores it makes, or a UUIDv8 if it was moved from SQLite. ``skip`` has the positions, from 0, of records
that are repeats and are left out; NULL where there are none. The other columns are those of the SQLite engine
(sqlite/layout.py).
"""

import os
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

from proxy.queue.group import SealedSegment

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS segment(
        lane text NOT NULL, id uuid NOT NULL, n int4 NOT NULL CHECK (n > 0),
        attempts int4 NOT NULL DEFAULT 0, strikes int4 NOT NULL DEFAULT 0, at int8 NOT NULL,
        suspect int4 NOT NULL DEFAULT 0, oldest_s int8 NOT NULL, not_before int8 NOT NULL DEFAULT 0,
        fields bytea NOT NULL DEFAULT '', skip int2[], sealed bytea NOT NULL, PRIMARY KEY (lane, id)
    ) WITH (
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000,
        toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 20000
    )
    """,
    # What is sealed cannot be compressed.
    "ALTER TABLE segment ALTER sealed SET STORAGE EXTERNAL",
    # Held segments are in the next index: neither a claim nor a look for the oldest event reads them.
    "CREATE INDEX IF NOT EXISTS segment_lane ON segment(lane, fields, suspect, at, id) WHERE not_before = 0",
    "CREATE INDEX IF NOT EXISTS segment_held ON segment(lane, not_before) WHERE not_before > 0",
    "CREATE INDEX IF NOT EXISTS segment_oldest ON segment(oldest_s)",
)
_TIME, _RANDOM = 6, 6
_numbers = count()


class SegmentRow(NamedTuple):
    """A new segment without repeats, its columns in the order of ``INSERT``."""

    lane: str
    id: bytes
    n: int
    attempts: int
    strikes: int
    at: int
    """Server clock in milliseconds when its events arrived, or became due if they were held."""
    suspect: int
    oldest_s: int
    not_before: int
    """Server clock in milliseconds until which it is held; 0 if it is not held."""
    fields: bytes
    sealed: bytes


INSERT = """
INSERT INTO segment(lane, id, n, attempts, strikes, at, suspect, oldest_s, not_before, fields, sealed)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::int4[], $4::int4[], $5::int4[], $6::int8[], $7::int4[], $8::int8[],
    $9::int8[], $10::bytea[], $11::bytea[])
ON CONFLICT DO NOTHING
"""


def row_of(segment: SealedSegment, at: int, history: tuple[int, int, int] = (0, 0, 0)) -> SegmentRow:
    """Return the row of a sealed segment.

    Args:
        segment: The segment.
        at: Server clock in milliseconds when its events arrived.
        history: Attempts, strikes and ``suspect``; see ``contract.Segment``.
    """
    attempts, strikes, suspect = history
    facts = (segment.pixel, new_id(at), segment.n, attempts, strikes, at, suspect, segment.oldest_s)
    return SegmentRow(*facts, segment.not_before if segment.not_before > at else 0, segment.fields, segment.sealed)


def columns(rows: Sequence[SegmentRow]) -> list[list[object]]:
    """Return rows as the arguments of ``INSERT``, in the order of their ids."""
    return [list(column) for column in zip(*sorted(rows, key=lambda row: (row.lane, row.id)), strict=True)]


def new_id(at: int) -> bytes:
    """Return a new id for a segment: a UUIDv7, which begins with a moment of the server's clock in milliseconds.

    Among the ids that one process makes for one moment, each is larger than those before it.
    """
    number = next(_numbers)
    high, low = 0x7000 | number >> 14 & 0x0FFF, 0x8000 | number & 0x3FFF
    return at.to_bytes(_TIME, "big") + high.to_bytes(2, "big") + low.to_bytes(2, "big") + os.urandom(_RANDOM)
