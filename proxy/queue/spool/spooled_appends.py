"""The appends of a group as bytes, from which the group can be made again.

Keys depend on the records alone, so a group that is made again has the keys it had before: if the database had already
stored something of it, that is found to be a repeat. The segments that were sealed for the database are not kept, since
the records themselves are kept here, sealed as a whole.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from proxy.model.event import BrowserCopy
from proxy.model.event_facts import NO_FACTS, EventFacts
from proxy.model.join import Join, Sighting, Twin
from proxy.model.record import Record
from proxy.model.server_request import NO_FIELDS, RequestFields
from proxy.queue.group import Append
from proxy.queue.seal import Sealer

_BOUND = b"spool"


class _SpooledRecord(NamedTuple):
    """The fields of a ``Record``; of one that an older version wrote, those it had."""

    pixel: str
    name: str
    id: str
    time_s: int
    visitor: bytes
    browser_copy: BrowserCopy | None
    bot_reason: str
    payload: bytes
    findings: tuple[str, ...] = ()
    person_digests: tuple[bytes, ...] = ()
    worth: bytes = b""
    shared: int = 0
    """The index of its shared part in ``_SpooledGroup.shared``."""
    action_source: str = "website"
    fields: RequestFields = NO_FIELDS
    order: bytes = b""
    not_before: int = 0
    pending: tuple[Join | None, Twin | None] = (None, None)
    facts: EventFacts = NO_FACTS
    arrived: int = 0


class _SpooledAppend(NamedTuple):
    records: list[_SpooledRecord]
    not_before: int
    sightings: tuple[Sighting, ...]


class _SpooledGroup(NamedTuple):
    appends: list[_SpooledAppend]
    shared: list[bytes]
    """The different parts that records share."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_SpooledGroup).decode


def seal_appends(appends: Sequence[Append], sealer: Sealer) -> bytes:
    """Return the sealed bytes of appends, from which ``open_appends`` makes them again."""
    shared: dict[bytes, int] = {}
    spooled = [
        ([_spooled(record, shared) for record in append.records], append.not_before, append.sightings)
        for append in appends
    ]
    return sealer.seal(_encode((spooled, list(shared))), _BOUND)


def open_appends(sealed: bytes, sealer: Sealer) -> list[Append]:
    """Return the appends that were sealed.

    Raises:
        SealError: when no listed secret opens them, or they were changed.
        ValueError: when they have not the form that this version knows.
    """
    try:
        spooled, shared = _decode(sealer.open(sealed, _BOUND))
        return [
            Append([_record(record, shared) for record in append.records], append.not_before, append.sightings)
            for append in spooled
        ]
    except (msgspec.MsgspecError, LookupError) as error:
        raise ValueError("a spooled group has not the form that this version knows") from error


def _spooled(record: Record, shared: dict[bytes, int]) -> tuple[object, ...]:
    number = shared.setdefault(record.shared, len(shared))
    pending = (record.pending, None) if isinstance(record.pending, Join) else (None, record.pending)
    return tuple((record._asdict() | {"shared": number, "pending": pending}).values())


def _record(spooled: _SpooledRecord, shared: Sequence[bytes]) -> Record:
    join, twin = spooled.pending
    return Record._make(spooled)._replace(shared=shared[spooled.shared], pending=join or twin)
