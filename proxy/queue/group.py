"""Groups: the appends of several callers, keyed and sealed together before an engine stores them in one transaction.

A group is sealed before it is known which of its records are repeats. The engine finds them while it stores the group,
and writes down their positions in the sealed segment; every reader of the segment leaves them out.

Data of suppressed people must never be stored. So a record or a sighting whose person may be suppressed is handed to
the engine unsealed (open); the engine asks the table of suppressions and seals what passes. ``suppressions_version``
tells whether anybody was suppressed since the group was made; if so, the engine checks the sealed records too.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from proxy.graph.age import aging_from_s
from proxy.model.join import Sighting
from proxy.model.record import Record
from proxy.queue.codec import Chunk, Kind, kind_of, pack
from proxy.queue.keys import fields_key, key_and_birth, server_key, visit_key
from proxy.queue.seal import Sealer
from proxy.queue.sightings import SealedSighting, forbid_sighting, seal_sighting

UNSEALED = -1
"""The segment of a record that is not sealed."""


class Append(NamedTuple):
    """Records of one caller, of which all are stored or none."""

    records: Sequence[Record]
    not_before: int = 0
    """Server clock in milliseconds; no record is claimed before it, or before its ``Record.not_before`` if later."""
    sightings: Sequence[Sighting] = ()


class Member(NamedTuple):
    """One record of a group."""

    record: Record
    call: int
    """Which of the group's appends brought it."""
    key: bytes
    """``keys.visit_key`` of a browser's event, ``keys.server_key`` of a server's."""
    birth_s: int | None
    """See ``keys.birth_s``."""
    segment: int
    """The index of the group's segment in which it is sealed, or OPEN."""
    position: int
    """Its position in that segment, from 0."""


class SealedSegment(NamedTuple):
    """Records of one pixel and kind (``codec.kind_of``), sealed."""

    pixel: str
    not_before: int
    n: int
    """How many records."""
    oldest_s: int
    """Unix time in seconds from which the oldest event ages, see ``age.aging_from_s``."""
    sealed: bytes
    fields: bytes = b""
    """See ``keys.fields_key``."""


class Group(NamedTuple):
    """What is stored in one transaction."""

    calls: Sequence[Append]
    members: Sequence[Member]
    """All records, in the order of their calls."""
    segments: Sequence[SealedSegment]
    suppressions_version: int
    sightings: Sequence[SealedSighting] = ()


class SuppressionFilter(Protocol):
    """Tells quickly, from memory, who may be suppressed."""

    @property
    def version(self) -> int:
        """Grows with every suppression, after ``may_hold`` knows of it."""

    def may_hold(self, digest: bytes) -> bool:
        """Tell whether a person may be suppressed; never False for one who is."""


class _SegmentBuilder:
    """The segments of a group while it is made: the last one of each pixel, moment and kind takes further records."""

    def __init__(self) -> None:
        self._chunks: list[tuple[str, int, Chunk]] = []
        self._last: dict[tuple[str, int, Kind | None], tuple[int, Chunk]] = {}

    def add(self, record: Record, not_before: int) -> tuple[int, int]:
        """Give a record its place; return the number of its segment, and its position there."""
        # Nearly all events are of browsers, so for them the call of ``kind_of`` is saved.
        lane = (record.pixel, not_before, None if record.browser_copy else kind_of(record))
        if (last := self._last.get(lane)) and last[1].add(record):
            number, chunk = last
        else:
            number, chunk = self._last[lane] = (len(self._chunks), Chunk())
            self._chunks.append((record.pixel, not_before, chunk))
            chunk.add(record)
        return number, len(chunk.records) - 1

    def seal_all(self, sealer: Sealer) -> list[SealedSegment]:
        """Seal what was added."""
        return [sealed_segment(pixel, chunk.records, not_before, sealer) for pixel, not_before, chunk in self._chunks]


def make_group(calls: Sequence[Append], sealer: Sealer, suppressed: SuppressionFilter) -> Group:
    """Make the group of some appends: compute the keys of their records, and seal the records.

    Args:
        calls: The appends.
        sealer: Seals the segments.
        suppressed: Knows whose records must not be sealed yet.
    """
    version, may_hold = suppressed.version, suppressed.may_hold
    filling = _SegmentBuilder()
    members: list[Member] = []
    sightings: list[SealedSighting] = []
    for number, call in enumerate(calls):
        for record in call.records:
            is_open = any(map(may_hold, record.person_digests))
            # Not by max(): nearly no record has a moment of its own, and each call counts here.
            not_before = call.not_before if call.not_before > record.not_before else record.not_before  # noqa: FURB136
            segment, position = (UNSEALED, 0) if is_open else filling.add(record, not_before)
            key, born = key_and_birth(record.pixel, record.name, record.id)
            visit = visit_key(key, record.visitor) if record.browser_copy else server_key(key)
            members.append(Member(record, number, visit, born, segment, position))
        if call.sightings:
            sightings += [_sealed_sighting(number, each, sealer, suppressed) for each in call.sightings]
    return Group(calls, members, filling.seal_all(sealer), version, sightings)


def _sealed_sighting(call: int, sighting: Sighting, sealer: Sealer, suppressed: SuppressionFilter) -> SealedSighting:
    if any(map(suppressed.may_hold, sighting.person_digests)):
        return SealedSighting(call, sighting, b"")
    # A sighting that came as forbidden may still hold data of the visitor, which must not be stored.
    left = forbid_sighting(sighting, sighting.forbidden) if sighting.forbidden else sighting
    return SealedSighting(call, left, seal_sighting(left, sealer))


def sealed_segment(pixel: str, records: Sequence[Record], not_before: int, sealer: Sealer) -> SealedSegment:
    """Seal records of one pixel and kind.

    Args:
        pixel: Its id.
        records: At least one, and not more than ``chunks`` puts into one list.
        not_before: Server clock in milliseconds; not claimed before.
        sealer: Seals them.
    """
    sealed = sealer.seal(pack(records), pixel.encode())
    oldest_s = min([record.time_s for record in records])
    if (kind := kind_of(records[0])) is None:
        return SealedSegment(pixel, not_before, len(records), oldest_s, sealed)
    oldest_s = aging_from_s(oldest_s, kind.action_source)
    return SealedSegment(pixel, not_before, len(records), oldest_s, sealed, fields_key(kind.fields))
