"""Segments: records that are packed are unpacked byte for byte."""

import struct
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.event import BrowserCopy
from proxy.model.event_facts import NO_FACTS, EventFacts
from proxy.model.join import Join, JoinKind, Twin
from proxy.model.record import Record
from proxy.model.server_request import NO_FIELDS, RequestFields
from proxy.queue.codec import MOST_BYTES, chunks, pack, unpack, wire_size

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
FACTS: dict[str, st.SearchStrategy[Any]] = {
    "pixel": st.just("1"),
    "name": TEXT,
    "id": TEXT,
    "time_s": st.integers(0, 2**40),
    "visitor": st.binary(min_size=4, max_size=4),
    "browser_copy": st.sampled_from(BrowserCopy),
    "bot_reason": TEXT,
    "payload": st.binary(max_size=200),
    "findings": st.lists(TEXT, max_size=3).map(tuple),
    "person_digests": st.lists(st.binary(min_size=16, max_size=16), max_size=3).map(tuple),
    "worth": st.just(b""),
    "shared": st.sampled_from([b"", b'{"user_data":{}}']) | st.binary(max_size=200),
    "action_source": st.just("website"),
    "fields": st.just(NO_FIELDS),
    "order": st.just(b""),
    "not_before": st.just(0),
    "pending": st.none(),
    "facts": st.builds(
        EventFacts,
        st.sampled_from(["shop", ""]),
        st.integers(0, 2**25),
        consent=TEXT,
        redactions=st.lists(TEXT, max_size=2).map(tuple),
        value=st.none() | st.integers(-(10**13), 10**13),
        currency=st.sampled_from(["EUR", ""]),
    ),
    "arrived": st.integers(0, 2**42),
}
RECORDS = st.lists(st.builds(Record, **FACTS), max_size=20)
FIELDS = st.builds(RequestFields, *[TEXT] * len(NO_FIELDS)) | st.just(NO_FIELDS)
NAMES, KEYS = st.text(max_size=5), st.binary(min_size=16, max_size=16)
PENDING: dict[str, st.SearchStrategy[Any]] = {
    "twin": st.builds(Twin, KEYS, st.sampled_from(["", "send", "drop"])),
    "join": st.builds(
        Join,
        NAMES,
        st.lists(st.tuples(st.sampled_from(JoinKind), KEYS), max_size=3).map(tuple),
        st.sampled_from(["send", "ldu", "drop"]),
        st.integers(1, 30),
        st.sampled_from(["all", "ids", "nothing"]),
    ),
}


@st.composite
def waiting(draw: st.DrawFn) -> list[Record]:
    """Draw records of which some wait for the other copy of their order."""
    records = draw(RECORDS | from_servers())
    orders = st.lists(KEYS, max_size=2).map(b"".join)
    return [
        record._replace(pending=pending, order=draw(orders) if pending else b"")
        for record in records
        for pending in [draw(st.none() | PENDING["join" if record.browser_copy is None else "twin"])]
    ]


@st.composite
def from_servers(draw: st.DrawFn) -> list[Record]:
    """Draw records of servers that may be in one segment, since source and fields are the same."""
    alike = {"browser_copy": st.none(), "action_source": st.just(draw(TEXT)), "fields": st.just(draw(FIELDS))}
    return draw(st.lists(st.builds(Record, **FACTS | alike), max_size=20))


VISITOR = b'{"action_source":"website","user_data":{"fbp":"%b"}}' % (b"x" * 4000)


def sample(number: int, shared: bytes = VISITOR) -> Record:
    payload = b'{"event_name":"PageView","event_id":"%d"}' % number
    return Record("1", "PageView", str(number), 7, b"abcd", BrowserCopy.FIRED, "", payload, ("a:cut",), shared=shared)


def packed_as(layout: int, records: Sequence[Record]) -> bytes:
    """Pack records as layouts 1 and 2 did: without shared parts, and in layout 1 without findings and people."""
    parts = []
    for record in records:
        facts = [record.name, record.id, record.time_s, record.visitor.hex(), record.browser_copy, record.bot_reason]
        later = [record.findings, b"".join(record.person_digests).hex()] if layout == 2 else []
        head = orjson.dumps(facts + later)
        parts.append(struct.pack(">II", len(head), len(record.payload)) + head + record.payload)
    return b"".join(parts)


@given(RECORDS | from_servers() | waiting())
def test_records_come_back_as_they_were(records: list[Record]) -> None:
    """Unpacked records equal the packed ones, with payloads byte for byte."""
    assert unpack(pack(records), "1") == tuple(records)


def indexed(records: Sequence[Record]) -> bytes:
    """Pack records as layouts 3 and 4 first did: with shared parts, but without facts."""
    parts = [
        (each.visitor.hex(), each.bot_reason, b"".join(each.person_digests).hex(), len(each.shared)) for each in records
    ]
    entries = [
        (each.name, each.id, each.time_s, each.browser_copy, each.findings, number, len(each.payload))
        for number, each in enumerate(records)
    ]
    kinds = [(each.action_source, {k: v for k, v in each.fields._asdict().items() if v}) for each in records]
    is_of_servers = bool(records) and records[0].browser_copy is None
    index = orjson.dumps([parts, entries, *(kinds[:1] if is_of_servers else ())])
    head = (b"\x04" if is_of_servers else b"\x03") + len(index).to_bytes(4, "big")
    return b"".join((head, index, *(each.shared for each in records), *(each.payload for each in records)))


@given(RECORDS | from_servers())
def test_segments_without_facts_are_read(records: list[Record]) -> None:
    """Segments of the first form of layouts 3 and 4 are read; facts and arrival of their events are unknown."""
    before = [record._replace(facts=NO_FACTS, arrived=0) for record in records]
    assert unpack(indexed(before), "1") == tuple(before)


def index_of(packed: bytes) -> Any:
    """Return the index of a packed segment."""
    return orjson.loads(packed[5 : 5 + int.from_bytes(packed[1:5], "big")])


@given(RECORDS | from_servers())
def test_an_older_version_reads_what_it_knows(records: list[Record]) -> None:
    """A proxy of an older version that shares the database can read new segments: it ignores the later members."""
    packed = pack(records)
    parts, entries, *kinds = index_of(packed)
    assert packed[:1] in {b"\x03", b"\x04"}
    assert all(len(part) == len(("visitor", "bot", "people", "length")) for part in parts)
    facts = [(name, identity, time_s) for name, identity, time_s, _, _, _, _ in entries]
    source, fields = kinds[0]

    assert facts == [(each.name, each.id, each.time_s) for each in records]
    assert {part for *_, part, _ in entries} == set(range(len(parts)))
    assert {(source, RequestFields(**fields))} >= {(each.action_source, each.fields) for each in records}


@given(RECORDS)
def test_segments_of_older_versions_are_read(records: list[Record]) -> None:
    """Segments of layouts 1 and 2 are read with all they contain: whole payloads, and in 2 findings and people."""
    bare: dict[str, Any] = {"shared": b"", "facts": NO_FACTS, "arrived": 0}
    whole = [record._replace(payload=record.whole, **bare) for record in records]

    assert unpack(packed_as(2, whole), "1") == tuple(whole)
    assert unpack(packed_as(1, whole), "1") == tuple(
        record._replace(findings=(), person_digests=()) for record in whole
    )


def test_what_records_share_is_written_once() -> None:
    """100 records of one visitor store the shared part once; records of another visitor add one more."""
    alike = [sample(number) for number in range(100)]

    assert len(pack(alike)) < len(VISITOR) + 100 * 120
    assert len(pack([*alike, sample(7, VISITOR[:-2] + b"}}")])) < 2 * len(VISITOR) + 101 * 120
    assert [record.whole for record in unpack(pack(alike), "1")] == [record.whole for record in alike]


def test_the_parts_of_a_payload_make_one_object() -> None:
    """The payload that Graph gets has the members of the shared part and of the record's own."""
    assert orjson.loads(sample(1).whole) == orjson.loads(sample(1).payload) | orjson.loads(VISITOR)
    assert sample(1, b"").whole == sample(1).payload


def test_segments_are_cut_by_what_graph_will_get() -> None:
    """However small a segment is when stored, its payloads fit into one request to Graph."""
    cut = list(chunks([sample(number, VISITOR * 4) for number in range(400)]))

    assert [len(chunk) for chunk in cut] == [129, 129, 129, 13]
    assert all(sum(map(wire_size, chunk)) <= MOST_BYTES for chunk in cut)
    assert max(len(chunk) for chunk in chunks([sample(number) for number in range(600)])) == 500


def test_what_waits_for_nothing_costs_nothing() -> None:
    """The order of a record is stored only while the other copy may come; other segments have no member for it."""
    plain = sample(1)

    assert pack([plain._replace(order=b"k" * 16)]) == pack([plain])
    assert pack([plain])[:1] == b"\x03"
    assert pack([plain, plain._replace(pending=Twin(b"k" * 16))])[:1] == b"\x05"


@given((RECORDS | from_servers() | waiting()).filter(bool), st.data())
def test_a_torn_segment_is_noticed(records: list[Record], data: st.DataObject) -> None:
    """Reading a segment that was cut off raises an error, or yields whole records only."""
    packed = pack(records)
    cut = data.draw(st.integers(0, len(packed) - 1))
    try:
        found = unpack(packed[:cut], "1")
    except ValueError:
        return

    assert found == tuple(records[: len(found)])


def test_a_record_of_no_shared_part_is_noticed() -> None:
    """An index that refers to a missing shared part is reported as damage, like any other."""
    packed = pack([sample(1)])
    (_, ((*_, length),), *_) = index_of(packed)
    assert packed.count(b",0,%d]" % length) == 1

    with pytest.raises(ValueError, match="not the form"):
        unpack(packed.replace(b",0,%d]" % length, b",9,%d]" % length), "1")
