"""Records ↔ the bytes of one segment, and the key by which a repeat is known.

A segment is what one commit wrote for one pixel. Layout, per record: two big-endian 32-bit lengths, a JSON list of
what the queue must know, the payload byte for byte as Graph will get it.
"""

import struct
from collections.abc import Iterable, Iterator
from hashlib import blake2b

import orjson

from proxy.model import Fate, Record

_LENGTHS = struct.Struct(">II")
# A claim takes whole segments, so a segment is at most half of what one request to Graph may carry.
_MOST_RECORDS = 500
_MOST_BYTES = 1 << 20
DIGEST = 16
"""Bytes of one of a record's ``people``."""


def chunks(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Cut records of one pixel, in order, into what one segment may hold."""
    chunk: list[Record] = []
    size = 0
    for record in records:
        if chunk and (len(chunk) >= _MOST_RECORDS or size + len(record.payload) > _MOST_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(record)
        size += len(record.payload)
    if chunk:
        yield chunk


def pack(records: Iterable[Record]) -> bytes:
    """Write the records of one pixel; the pixel itself stands beside the segment."""
    parts = []
    for record in records:
        facts = (record.name, record.id, record.time_s, record.visitor.hex(), record.fate, record.mark)
        head = orjson.dumps((*facts, record.findings, b"".join(record.people).hex()))
        parts += [_LENGTHS.pack(len(head), len(record.payload)), head, record.payload]
    return b"".join(parts)


def unpack(packed: bytes, pixel: str) -> tuple[Record, ...]:
    """Read what ``pack`` wrote.

    Raises:
        ValueError: when the bytes are not a segment.
    """
    return tuple(_records(packed, pixel))


def _records(packed: bytes, pixel: str) -> Iterator[Record]:
    at = 0
    while at < len(packed):
        try:
            head_size, size = _LENGTHS.unpack_from(packed, at)
        except struct.error as error:
            raise ValueError("a segment ends within a length") from error
        at += _LENGTHS.size
        end = at + head_size + size
        if end > len(packed):
            raise ValueError("a segment ends within a record")
        name, identity, time_s, visitor, fate, mark, *later = orjson.loads(packed[at : at + head_size])
        # Layout 1 had neither findings nor people.
        findings, people = later or ((), "")
        facts = (pixel, name, identity, time_s, bytes.fromhex(visitor), Fate(fate), mark)
        yield Record(*facts, packed[at + head_size : end], tuple(findings), _digests(people))
        at = end


def _digests(text: str) -> tuple[bytes, ...]:
    joined = bytes.fromhex(text)
    return tuple(joined[at : at + DIGEST] for at in range(0, len(joined), DIGEST))


def copy_key(key: bytes, visitor: bytes, secret: bytes) -> bytes:
    """Return the 8 bytes by which news of one visitor's browser copy of an event are known.

    Without the secret they tell neither the visitor nor which events are of one.

    Args:
        key: The event's ``event_key``.
        visitor: Four bytes that tell visitors apart.
        secret: A key for this purpose alone.
    """
    return blake2b(key + visitor, key=secret, digest_size=8).digest()


def event_key(pixel: str, name: str, identity: str) -> bytes:
    """Return the 16 bytes by which a repeat of an event is known (Meta counts by name and id within a pixel)."""
    return blake2b(f"{pixel}\0{name}\0{identity}".encode(), digest_size=16).digest()
