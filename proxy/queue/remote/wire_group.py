"""A group as the body of a frame.

The records travel beside the sealed segments, so that any engine can look into them as if the group had been made in
its own process. What several records share travels once: the bounds on requests count it once, too.
"""

from typing import Annotated, NamedTuple, TypeAlias, cast

import msgspec

from proxy.model.event import BrowserCopy
from proxy.model.event_facts import EventFacts
from proxy.model.join import Join, Sighting, Twin
from proxy.model.record import Record
from proxy.model.server_request import RequestFields
from proxy.queue.group import UNSEALED, Append, Group, Member, SealedSegment
from proxy.queue.remote.frames import MalformedFrameError
from proxy.queue.sightings import SealedSighting

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
_Key: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
_Seconds: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
_Moment: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
_Texts: TypeAlias = tuple[str, ...]
_Digests: TypeAlias = tuple[bytes, ...]
_WireRecord: TypeAlias = tuple[
    str,
    str,
    str,
    int,
    bytes,
    BrowserCopy | None,
    str,
    bytes,
    _Texts,
    _Digests,
    bytes,
    bytes,
    str,
    RequestFields,
    bytes,
    _Moment,
    None,
    EventFacts,
    _Moment,
]
"""The fields of a ``Record``; ``pending`` is sent apart, and so is a shared part that an earlier record has."""
_WireMember: TypeAlias = tuple[
    _WireRecord, _Count, _Key, _Seconds | None, Annotated[int, msgspec.Meta(ge=UNSEALED)], _Count
]
"""The fields of a ``Member``."""


class _WireGroup(NamedTuple):
    suppressions_version: int
    calls: list[_Moment]
    """Of each append its ``not_before``; the members say to which they belong."""
    members: list[_WireMember]
    segments: list[SealedSegment]
    sightings: list[SealedSighting]
    alike: list[tuple[_Count, _Count]]
    """The members that are sent without their shared part: the number of each, and of an earlier one with the same."""
    pending: list[tuple[_Count, Join | None, Twin | None]]
    """The members with a ``Record.pending``: the number of each, and its ``Join`` or ``Twin``."""


# Makes a tuple without a look at each field, since a back does this for every event of all fronts.
_new_tuple = tuple.__new__
_encode = msgspec.msgpack.Encoder().encode
_decode_group = msgspec.msgpack.Decoder(_WireGroup).decode


def group_body(group: Group) -> bytes:
    """Return a group as the body of a frame."""
    first: dict[bytes, int] = {b"": 0}
    alike, pending, members = [], [], []
    for number, member in enumerate(group.members):
        record = member.record
        if (earlier := first.setdefault(record.shared, number)) != number and record.shared:
            alike.append((number, earlier))
            record = record._replace(shared=b"")
        if record.pending:
            pending.append((number, *_join_or_twin(record.pending)))
            record = record._replace(pending=None)
        members.append(member if record is member.record else member._replace(record=record))
    calls = [call.not_before for call in group.calls]
    wire = (group.suppressions_version, calls, members, group.segments, group.sightings, alike, pending)
    return _encode(wire)


def _join_or_twin(pending: Join | Twin) -> tuple[Join | None, Twin | None]:
    return (pending, None) if isinstance(pending, Join) else (None, pending)


def group_of(body: bytes) -> Group:
    """Return the group that a body holds.

    Raises:
        MalformedFrameError: when it holds no group that a front can have made.
    """
    try:
        return _group(_decode_group(body))
    except (msgspec.MsgspecError, LookupError, ValueError) as error:
        raise MalformedFrameError(f"no group: {type(error).__name__}") from None


def _group(wire: _WireGroup) -> Group:
    """Return a group after checking that each of its records has its place in the segments."""
    records = [_new_tuple(Record, member[0]) for member in wire.members]
    for number, earlier in wire.alike:
        records[number] = records[number]._replace(shared=records[earlier].shared)
    for number, join, twin in wire.pending:
        records[number] = records[number]._replace(pending=join or twin)
    calls = [Append([], not_before, []) for not_before in wire.calls]
    filled = [0] * len(wire.segments)
    members = []
    for record, (_, call, key, birth, segment, position) in zip(records, wire.members, strict=True):
        members.append(_new_tuple(Member, (record, call, key, birth, segment, position)))
        cast("list[Record]", calls[call].records).append(record)
        if segment != UNSEALED:
            if filled[segment] != position:
                raise LookupError("a record in the place of another")
            filled[segment] += 1
    if filled != [segment.n for segment in wire.segments]:
        raise LookupError("a segment without its records")
    for sighted in wire.sightings:
        cast("list[Sighting]", calls[sighted.call].sightings).append(sighted.sighting)
    return Group(calls, members, wire.segments, wire.suppressions_version, wire.sightings)
