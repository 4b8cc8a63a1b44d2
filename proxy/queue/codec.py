"""Records as the bytes of one segment, and back.

A segment is what one commit wrote for one pixel: records of browsers, or records of servers that have their request
fields and their action source in common (``kind_of``).

Layout 3: the byte 3, the length of the index (32 bits, big-endian), the index as JSON, the shared parts, the payloads.
The index has several lists. Of each shared part: visitor, bot reason, person digests, length. Of each record: name, id,
time, browser copy, findings, the number of its shared part, length of the payload. Then what all records have in
common: the action source, and the request fields by name, those that are not empty. Then all different ``EventFacts``,
of each record the number of its facts, and of each shared part when it arrived.

Layout 4 is for servers' records: it begins with the byte 4, and browser copies are null. Older versions wrote only the
first two lists (in layout 4 three), and when they read what this version writes, they take the lists that they know:
two versions may share a database.

Layout 5 is for segments with a record for which something is looked up when it is claimed (``Record.pending``): the
byte 5, the length of the list that follows (32 bits, big-endian), the list as MessagePack, then layout 3 or 4. The list
has for each record its ``Join`` or null, its ``Twin`` or null, and the keys of its order.

Layouts 1 and 2, which may wait on disk from an older version, have no shared parts: for each record two lengths (32
bits, big-endian), then a JSON list of what the queue must know and the whole payload, which have these lengths. The
first byte is 0, as no such list has 16 MiB.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import orjson

from proxy.model.event import BrowserCopy
from proxy.model.event_facts import NO_FACTS, EventFacts
from proxy.model.join import Join, Twin
from proxy.model.record import Record
from proxy.model.server_request import NO_FIELDS, RequestFields

_LAYOUT, _SERVER_LAYOUT, _PENDING_LAYOUT = b"\x03", b"\x04", b"\x05"
_INDEXED = frozenset({_LAYOUT, _SERVER_LAYOUT})
_INDEX = struct.Struct(">I")
_LENGTHS = struct.Struct(">II")
_COPIES: dict[str | None, BrowserCopy | None] = {None: None, **{member.value: member for member in BrowserCopy}}
_PENDING = msgspec.msgpack.Decoder(list[tuple[Join | None, Twin | None, bytes]]).decode
# A claim takes whole segments, so a segment is at most half of what one request to Graph may carry.
_MOST_RECORDS = 500
_OF_BROWSERS = "website"
MOST_BYTES = 2 << 20
"""Most bytes that the payloads of a segment have together, as Graph gets them."""
DIGEST = 16
"""Bytes of one of a record's ``person_digests``."""


class Kind(NamedTuple):
    """What the records of one segment have in common, in addition to their pixel."""

    action_source: str
    fields: RequestFields


def kind_of(record: Record) -> Kind | None:
    """Return what a server's record must have in common with others of its segment; None for a browser's."""
    return None if record.browser_copy else Kind(record.action_source, record.fields)


def wire_size(record: Record) -> int:
    """Return the bytes of a record's payload as Graph gets it."""
    return len(record.payload) + len(record.shared)


class Chunk:
    """Records of one pixel, in order, as many as one segment may hold."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._bytes = 0

    def add(self, record: Record) -> bool:
        """Add a record if there is room, and tell whether it was added; there is always room for the first."""
        size = wire_size(record)
        if self.records and (len(self.records) >= _MOST_RECORDS or self._bytes + size > MOST_BYTES):
            return False
        self.records.append(record)
        self._bytes += size
        return True


def chunks(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Yield the records of one pixel in lists that each fit one segment; records of one kind stay in order."""
    filling: dict[Kind | None, Chunk] = {}
    for record in records:
        chunk = filling.setdefault(kind_of(record), Chunk())
        if not chunk.add(record):
            yield chunk.records
            chunk = filling[kind_of(record)] = Chunk()
            chunk.add(record)
    yield from (chunk.records for chunk in filling.values())


def pack(records: Sequence[Record]) -> bytes:
    """Return the bytes of records of one pixel and kind, with each different shared part written once.

    The pixel is stored beside the segment, not in it.
    """
    numbers: dict[tuple[Any, ...], int] = {}
    facts: dict[EventFacts, int] = {}
    entries, told, payloads = [], [], []
    is_pending = False
    for record in records:
        alike = (record.shared, record.visitor, record.bot_reason, record.person_digests, record.arrived)
        number = numbers.setdefault(alike, len(numbers))
        about = (record.name, record.id, record.time_s, record.browser_copy, record.findings)
        entries.append((*about, number, len(record.payload)))
        told.append(facts.setdefault(record.facts, len(facts)))
        payloads.append(record.payload)
        is_pending = is_pending or record.pending is not None
    parts = [
        (visitor.hex(), bot_reason, b"".join(person_digests).hex(), len(part))
        for part, visitor, bot_reason, person_digests, _ in numbers
    ]
    kind = kind_of(records[0]) if records else None
    fields = {name: text for name, text in kind.fields._asdict().items() if text} if kind else {}
    common = (kind.action_source if kind else _OF_BROWSERS, fields)
    # orjson does not write a named tuple as a list, so the facts are made plain tuples.
    index = orjson.dumps((parts, entries, common, list(map(tuple, facts)), told, [alike[-1] for alike in numbers]))
    head = _pending_head(records) if is_pending else b""
    layout = _SERVER_LAYOUT if kind else _LAYOUT
    return b"".join((head, layout, _INDEX.pack(len(index)), index, *(alike[0] for alike in numbers), *payloads))


def _pending_head(records: Sequence[Record]) -> bytes:
    pending = []
    for record in records:
        join, twin = (record.pending, None) if isinstance(record.pending, Join) else (None, record.pending)
        pending.append((join, twin, record.order if record.pending else b""))
    written = msgspec.msgpack.encode(pending)
    return b"".join((_PENDING_LAYOUT, _INDEX.pack(len(written)), written))


def unpack(packed: bytes, pixel: str) -> tuple[Record, ...]:
    """Read what ``pack`` wrote, in this version or an older one.

    Raises:
        ValueError: when the bytes are not a segment.
    """
    try:
        if packed[:1] in _INDEXED:
            return _records(packed, pixel)
        if packed[:1] == _PENDING_LAYOUT:
            return _pending_records(packed, pixel)
        return tuple(_old_records(packed, pixel))
    except (LookupError, TypeError, struct.error) as error:
        raise ValueError("a segment has not the form that this version knows") from error


def _records(packed: bytes, pixel: str) -> tuple[Record, ...]:
    start = len(_LAYOUT) + _INDEX.size
    at = start + int.from_bytes(packed[len(_LAYOUT) : start], "big")
    parts, entries, *more = orjson.loads(packed[start:at])
    if at + sum([part[-1] for part in parts]) + sum([entry[-1] for entry in entries]) != len(packed):
        raise ValueError("a segment has not the length that its index says")
    common, facts, told, arrivals = _more(more, len(entries), len(parts))
    shared = []
    for (visitor, bot_reason, person_digests, length), arrived in zip(parts, arrivals, strict=True):
        digests = _digests(person_digests)
        shared.append((packed[at : at + length], bytes.fromhex(visitor), bot_reason, digests, arrived))
        at += length
    records = []
    source, fields = _kind(*common)
    for (name, identity, time_s, browser_copy, findings, number, length), fact in zip(entries, told, strict=True):
        part, visitor, bot_reason, person_digests, arrived = shared[number]
        end = at + length
        whose = (pixel, name, identity, time_s, visitor, _COPIES[browser_copy], bot_reason)
        what = (packed[at:end], tuple(findings), person_digests, b"", part, source, fields)
        records.append(Record(*whose, *what, facts=facts[fact], arrived=arrived))
        at = end
    return tuple(records)


def _more(
    lists: Sequence[Any], records: int, parts: int
) -> tuple[Any, Sequence[EventFacts], Sequence[int], Sequence[int]]:
    """Return the last four lists of an index, of which an older version wrote the first or none."""
    if len(lists) <= 1:
        return lists[0] if lists else (_OF_BROWSERS, {}), [NO_FACTS], [0] * records, [0] * parts
    common, facts, told, arrivals = lists
    read = [
        EventFacts(site, keys, consent, source, tuple(out), *money)
        for site, keys, consent, source, out, *money in facts
    ]
    return common, read, told, arrivals


def _pending_records(packed: bytes, pixel: str) -> tuple[Record, ...]:
    start = len(_PENDING_LAYOUT) + _INDEX.size
    end = start + int.from_bytes(packed[len(_PENDING_LAYOUT) : start], "big")
    found = zip(_records(packed[end:], pixel), _PENDING(packed[start:end]), strict=True)
    return tuple(record._replace(pending=join or twin, order=order) for record, (join, twin, order) in found)


def _kind(action_source: str, fields: Mapping[str, str]) -> Kind:
    # A field that a newer version added would change where the events go, so an unknown one is an error (TypeError).
    return Kind(action_source, RequestFields(**fields) if fields else NO_FIELDS)


def _old_records(packed: bytes, pixel: str) -> Iterator[Record]:
    at = 0
    while at < len(packed):
        head_size, length = _LENGTHS.unpack_from(packed, at)
        at += _LENGTHS.size
        end = at + head_size + length
        if end > len(packed):
            raise ValueError("a segment ends within a record")
        name, identity, time_s, visitor, browser_copy, bot_reason, *later = orjson.loads(packed[at : at + head_size])
        # Layout 1 had neither findings nor person digests.
        findings, person_digests = later or ((), "")
        facts = (pixel, name, identity, time_s, bytes.fromhex(visitor), _COPIES[browser_copy], bot_reason)
        yield Record(*facts, packed[at + head_size : end], tuple(findings), _digests(person_digests))
        at = end


def _digests(text: str) -> tuple[bytes, ...]:
    joined = bytes.fromhex(text)
    return struct.unpack_from(f"{DIGEST}s" * (len(joined) // DIGEST), joined)
