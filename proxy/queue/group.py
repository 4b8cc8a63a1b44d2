"""Groups: the appends of several callers, keyed and sealed together before an engine stores them in one transaction.

A group is sealed before anybody knows which of its records are repeats. The engine finds them while it stores the
group, and writes down their positions in the sealed segment; whoever opens the segment leaves them out.

What must never rest on disk is not sealed: a record whose person may be suppressed is handed to the engine open, which
asks the table of suppressions and seals what passes. ``suppressions_version`` tells whether anybody was suppressed
since the group was made; then the engine looks again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from proxy.model.record import Record
from proxy.queue.codec import chunks, pack
from proxy.queue.keys import birth_s, event_key
from proxy.queue.seal import Sealer

OPEN = -1
"""The segment of a record that is not sealed."""


@dataclass(frozen=True, slots=True)
class Append:
    """Records of one caller, stored all or none."""

    records: Sequence[Record]
    not_before: int = 0
    """Server clock in milliseconds; not claimed before."""


class Member(NamedTuple):
    """One record of a group."""

    record: Record
    call: int
    """Which of the group's appends brought it."""
    key: bytes
    """See ``event_key``."""
    birth_s: int | None
    """See ``keys.birth_s``."""
    segment: int
    """In which of the group's segments it is sealed, or OPEN."""
    position: int
    """Its place there, from 0."""


class SealedSegment(NamedTuple):
    """Records of one pixel, sealed."""

    pixel: str
    not_before: int
    n: int
    """How many records."""
    oldest_s: int
    """Unix time in seconds of the oldest event."""
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Group:
    """What is stored in one transaction."""

    calls: Sequence[Append]
    members: Sequence[Member]
    """All records, in the order of their calls."""
    segments: Sequence[SealedSegment]
    suppressions_version: int


class Suppressed(Protocol):
    """Tells quickly, from memory, who may be suppressed."""

    @property
    def version(self) -> int:
        """Grows with every suppression, after ``may_hold`` knows of it."""

    def may_hold(self, digest: bytes) -> bool:
        """Tell whether a person may be suppressed; never False for one who is."""


def make_group(calls: Sequence[Append], sealer: Sealer, suppressed: Suppressed) -> Group:
    """Key and seal what callers brought.

    Args:
        calls: Their appends.
        sealer: Seals the segments.
        suppressed: Knows whose records must not be sealed yet.
    """
    version = suppressed.version
    brought = [(call, record) for call, append in enumerate(calls) for record in append.records]
    lanes: dict[tuple[str, int], list[int]] = {}
    for number, (call, record) in enumerate(brought):
        if not any(map(suppressed.may_hold, record.person_digests)):
            lanes.setdefault((record.pixel, calls[call].not_before), []).append(number)
    segments: list[SealedSegment] = []
    places = [(OPEN, 0)] * len(brought)
    for (pixel, not_before), numbers in lanes.items():
        placed = iter(numbers)
        for records in chunks(brought[number][1] for number in numbers):
            for position in range(len(records)):
                places[next(placed)] = (len(segments), position)
            segments.append(sealed_segment(pixel, records, not_before, sealer))
    members = [_member(record, call, place) for (call, record), place in zip(brought, places, strict=True)]
    return Group(calls, members, segments, version)


def _member(record: Record, call: int, place: tuple[int, int]) -> Member:
    key = event_key(record.pixel, record.name, record.id)
    return Member(record, call, key, birth_s(record.id), *place)


def sealed_segment(pixel: str, records: Sequence[Record], not_before: int, sealer: Sealer) -> SealedSegment:
    """Seal records of one pixel.

    Args:
        pixel: Its id.
        records: At least one, and no more than ``chunks`` puts together.
        not_before: Server clock in milliseconds; not claimed before.
        sealer: Seals them.
    """
    sealed = sealer.seal(pack(records), pixel.encode())
    return SealedSegment(pixel, not_before, len(records), min(record.time_s for record in records), sealed)
