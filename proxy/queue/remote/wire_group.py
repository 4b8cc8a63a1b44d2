"""A group as the body of a frame, and what became of it as another.

The records travel beside the sealed segments, so that any engine can look into them as if the group had been made in
its own process. What several records share travels once: the bounds on requests count it once, too.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple, TypeAlias

import msgspec

from proxy.model.event import BrowserCopy, DropReason
from proxy.model.join import Join, Sighting, Twin
from proxy.model.record import Record
from proxy.model.server_request import RequestFields
from proxy.queue.contract import QueueBrokenError, QueueError, QueueFullError, Stored
from proxy.queue.group import OPEN, Append, Group, Member, SealedSegment
from proxy.queue.grouper import Outcome
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
]
"""The fields of a ``Record``, but for what several share and for ``pending``."""
_WireMember: TypeAlias = tuple[
    _WireRecord, _Count, _Key, _Seconds | None, Annotated[int, msgspec.Meta(ge=OPEN)], _Count
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
    """Of members that travel without their shared part: which, and which one before it has the same."""
    pending: list[tuple[_Count, Join | None, Twin | None]]
    """Of members for whom something is looked up: which, and what."""


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
        MalformedFrameError: when it holds none that a front makes.
    """
    try:
        wire = _decode_group(body)
        records = [Record._make(member[0]) for member in wire.members]
        for number, earlier in wire.alike:
            records[number] = records[number]._replace(shared=records[earlier].shared)
        for number, join, twin in wire.pending:
            records[number] = records[number]._replace(pending=join or twin)
        members = [
            Member(record, call, key, birth, segment, position)
            for record, (_, call, key, birth, segment, position) in zip(records, wire.members, strict=True)
        ]
        return _checked(wire, members)
    except (msgspec.MsgspecError, LookupError, ValueError) as error:
        raise MalformedFrameError(f"no group: {type(error).__name__}") from None


def _checked(wire: _WireGroup, members: Sequence[Member]) -> Group:
    """Return a group of which every part has its place."""
    records: list[list[Record]] = [[] for _ in wire.calls]
    places: list[list[int]] = [[] for _ in wire.segments]
    for record, call, _, _, segment, position in members:
        records[call].append(record)
        if segment != OPEN:
            places[segment].append(position)
    if any(found != [*range(segment.n)] for found, segment in zip(places, wire.segments, strict=True)):
        raise LookupError("a segment without its records")
    sightings: list[list[Sighting]] = [[] for _ in wire.calls]
    for sighted in wire.sightings:
        sightings[sighted.call].append(sighted.sighting)
    calls = [Append(*parts) for parts in zip(records, wire.calls, sightings, strict=True)]
    return Group(calls, members, wire.segments, wire.suppressions_version, wire.sightings)


class _ToldRecord(NamedTuple):
    """A record of a group in an answer: by its number among those of its append."""

    number: int
    findings: _Texts


class _WireAnswer(NamedTuple):
    """What became of an append; ``failure`` is empty where it was stored."""

    duplicates: tuple[_ToldRecord, ...] = ()
    reused: int = 0
    refused: tuple[tuple[_ToldRecord, DropReason], ...] = ()
    conflicts: tuple[_ToldRecord, ...] = ()
    failure: str = ""
    text: str = ""


_PLAIN = Stored()
_FAILURES: dict[str, type[QueueError]] = {
    each.__name__: each for each in (QueueError, QueueFullError, QueueBrokenError)
}
_decode_answers = msgspec.msgpack.Decoder(list[_WireAnswer | None]).decode
_decode_failure = msgspec.msgpack.Decoder(tuple[str, str]).decode


def failure_body(error: Exception) -> bytes:
    """Return why something was not done as the body of a frame; of what nobody foresaw only its type."""
    return _encode(_failure(error))


def failure_of(body: bytes) -> QueueError:
    """Return the error that a body holds.

    Raises:
        MalformedFrameError: when it holds none.
    """
    try:
        return _error(*_decode_failure(body))
    except (msgspec.MsgspecError, ValueError):
        raise MalformedFrameError("no failure") from None


def outcome_body(group: Group, outcome: Sequence[Stored | QueueError]) -> bytes:
    """Return what became of a group as the body of a frame."""
    return _encode(
        [
            None if answer == _PLAIN else _wire_answer(call.records, answer)
            for call, answer in zip(group.calls, outcome, strict=True)
        ]
    )


def outcome_of(body: bytes, calls: Sequence[Append]) -> Outcome:
    """Return what became of each of these appends.

    Raises:
        MalformedFrameError: when the body does not say it.
    """
    try:
        return [
            _PLAIN if answer is None else _answer(call.records, answer)
            for call, answer in zip(calls, _decode_answers(body), strict=True)
        ]
    except (msgspec.MsgspecError, LookupError, ValueError):
        raise MalformedFrameError("no answer to a group") from None


def _wire_answer(records: Sequence[Record], answer: Stored | QueueError) -> _WireAnswer:
    if isinstance(answer, QueueError):
        failure, text = _failure(answer)
        return _WireAnswer(failure=failure, text=text)
    refused = _numbered(records, [record for record, _ in answer.refused])
    return _WireAnswer(
        tuple(_numbered(records, answer.duplicates)),
        answer.reused,
        tuple((told, why) for told, (_, why) in zip(refused, answer.refused, strict=True)),
        tuple(_numbered(records, answer.conflicts)),
    )


def _numbered(records: Sequence[Record], told: Sequence[Record]) -> Iterator[_ToldRecord]:
    """Yield the numbers of records that an engine tells of; it may have added to their findings."""
    taken: set[int] = set()
    for record in told:
        bare = record._replace(findings=())
        number = next(
            number
            for number, each in enumerate(records)
            if number not in taken and each[:3] == bare[:3] and each._replace(findings=()) == bare
        )
        taken.add(number)
        yield _ToldRecord(number, record.findings)


def _answer(records: Sequence[Record], wire: _WireAnswer) -> Stored | QueueError:
    if wire.failure:
        return _error(wire.failure, wire.text)
    return Stored(
        tuple(_told(records, each) for each in wire.duplicates),
        wire.reused,
        tuple((_told(records, each), why) for each, why in wire.refused),
        tuple(_told(records, each) for each in wire.conflicts),
    )


def _told(records: Sequence[Record], wire: _ToldRecord) -> Record:
    record = records[wire.number]
    return record if record.findings == wire.findings else record._replace(findings=wire.findings)


def _failure(error: Exception) -> tuple[str, str]:
    kind = next((name for name, each in _FAILURES.items() if type(error) is each), "")
    return (kind, str(error)) if kind else (QueueError.__name__, f"{type(error).__name__} in the queue")


def _error(kind: str, text: str) -> QueueError:
    return _FAILURES.get(kind, QueueError)(text)
