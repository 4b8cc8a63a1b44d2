"""Events with different request fields are stored and claimed separately, each kind in its turn."""

import asyncio
from collections.abc import Sequence
from itertools import cycle

import pytest
from clock import NOON, Clock
from queues import Opener
from support import PIXEL, record, server_record

from proxy.model.record import Record
from proxy.model.server_request import NO_FIELDS, RequestFields
from proxy.model.verdict import Dead
from proxy.queue.codec import chunks, pack, unpack
from proxy.queue.contract import Filter, NewDeadLetter, Oldest, Remainder, Settlement, WholeQueue
from proxy.queue.sqlite.engine import LocalQueue

pytestmark = pytest.mark.both_engines

SPRING, AUTUMN = RequestFields(upload_tag="spring"), RequestFields(upload_tag="autumn", test_event_code="TEST7")
NOW_S = NOON // 1000


def mixed(count: int) -> list[Record]:
    """Return records of browsers and of servers with several fields, alternating."""
    kinds = [(None, "website"), (NO_FIELDS, "website"), (SPRING, "website"), (AUTUMN, "physical_store")]
    return [
        record(number, time_s=NOW_S) if fields is None else server_record(number, fields, source, time_s=NOW_S)
        for number, (fields, source) in zip(range(count), cycle(kinds), strict=False)
    ]


async def claimed(queue: WholeQueue, *, newest: bool = False, suspect: bool = False) -> list[list[Record]]:
    """Claim until nothing is left; return the records of each claim."""
    claims = []
    while segments := await queue.claim(PIXEL, most=1000, newest=newest, suspect=suspect):
        claims.append([record for segment in segments for record in segment.records])
    return claims


def test_a_browsers_segment_is_what_it_was() -> None:
    """The action source is written once for all browsers' records, and request fields are not written."""
    packed = pack([record(1), record(2)])

    assert packed[:1] == b"\x03"
    assert packed[: int.from_bytes(packed[1:5], "big") + 5].count(b"website") == 1


@pytest.mark.only_sqlite
def test_a_segment_is_of_one_kind() -> None:
    """Records are cut into segments by fields and action source too; each kind keeps its order, and none is lost."""
    records = mixed(40)
    cut = list(chunks(records))

    assert [{(one.browser_copy, one.action_source, one.fields) for one in chunk} for chunk in cut] == [
        {(one.browser_copy, one.action_source, one.fields)} for one in records[:4]
    ]
    assert [one for chunk in cut for one in unpack(pack(chunk), PIXEL)] == [
        one for first in range(4) for one in records[first::4]
    ]


def test_fields_of_a_newer_version_are_no_segment() -> None:
    """A segment with a field that this version does not know is not read, since the field would not reach Graph."""
    packed = pack([server_record(1, SPRING)]).replace(b"upload_tag", b"upload_tug")

    with pytest.raises(ValueError, match="not the form"):
        unpack(packed, PIXEL)


@pytest.mark.only_sqlite
@pytest.mark.parametrize("newest", [True, False])
async def test_a_claim_has_one_set_of_fields(queue: LocalQueue, *, newest: bool) -> None:
    """Events without fields, of browsers and servers, go out together, all others separately, and everything once."""
    records = mixed(40)
    await queue.append(records)
    claims = await claimed(queue, newest=newest)

    first, *others = [{one.fields for one in claim} for claim in claims]
    assert first == {NO_FIELDS}
    assert sorted(map(sorted, others)) == sorted([[AUTUMN], [SPRING]])
    assert sorted(one.id for claim in claims for one in claim) == sorted(one.id for one in records)
    assert {one.id: one for claim in claims for one in claim} == {one.id: one for one in records}


async def test_a_stream_of_one_kind_holds_up_no_other(queue: WholeQueue) -> None:
    """Events without fields get every second turn, however many uploads there are, and each upload gets its turns."""
    uploads = [RequestFields(upload_id=str(number)) for number in range(5)]
    turns: list[RequestFields] = []
    for turn in range(20):
        await queue.append([server_record(1000 * turn + number, fields) for number, fields in enumerate(uploads)])
        await queue.append([record(1000 * turn + 500)])
        segments = await queue.claim(PIXEL, most=1000, newest=True)
        turns.append(segments[0].records[0].fields)

    assert [fields == NO_FIELDS for fields in turns] == [True, False] * 10
    assert {turns.count(fields) for fields in uploads} == {2}


async def test_suspects_take_no_turn_of_fresh_events(queue: WholeQueue) -> None:
    """Fresh events with fields keep every second turn while suspects of another upload are tried in between."""
    turns: list[RequestFields] = []
    for turn in range(6):
        await queue.append([server_record(1000 * turn, SPRING)])
        refused = await queue.claim(PIXEL, most=1000)
        await queue.settle(refused, Settlement(suspects=((refused[0].ref, 1),)))
    for turn in range(6, 14):
        await queue.append([server_record(1000 * turn, AUTUMN), record(1000 * turn + 1)])
        turns.append((await queue.claim(PIXEL, most=1))[0].records[0].fields)
        await queue.claim(PIXEL, most=1, suspect=True)

    assert turns.count(AUTUMN) == 4


async def test_fields_survive_a_restart(opener: Opener) -> None:
    """Waiting events have the same fields, turns and counts after a restart."""
    queue = await opener()
    await queue.append(mixed(8))
    await queue.close()
    again = await opener()

    assert [len(claim) for claim in await claimed(again)] == [4, 2, 2]
    assert again.stats().waiting == {PIXEL: 8}
    assert await again.oldest([PIXEL]) == {PIXEL: Oldest(NOON)}
    await again.close()


@pytest.mark.only_sqlite
async def test_suspects_and_remainders_keep_their_fields(queue: LocalQueue, clock: Clock) -> None:
    """Suspects and remainders with different fields are claimed separately, and the oldest arrival is known."""
    await queue.append(mixed(8))
    clock.now += 1000
    while segments := await queue.claim(PIXEL, most=1000):
        whole, cut = segments[0], segments[1:]
        rest = tuple(Remainder(PIXEL, 1, 0, each.records[:1], each.at, 4) for each in cut)
        done = tuple(each.ref for each in cut)
        await queue.settle(segments, Settlement(done=done, suspects=((whole.ref, 4),), remainders=rest))
    oldest = await queue.oldest([PIXEL])
    claims = await claimed(queue, suspect=True)

    assert oldest == {PIXEL: Oldest(None, NOON)}
    assert sorted(len(claim) for claim in claims) == [2, 2, 3]
    assert all(len({one.fields for one in claim}) == 1 for claim in claims)


@pytest.mark.only_sqlite
async def test_dead_letters_come_back_with_their_fields(queue: LocalQueue) -> None:
    """Replayed letters of several fields wait separately again, with action source and fields as before."""
    records = mixed(4)
    dead = Dead("rejected")
    letters = tuple(NewDeadLetter(one, dead.reason, dead.graph_error, 1) for one in records)
    await queue.settle([], Settlement(dead=letters))
    ids = [letter.id for letter in await queue.dead_letters(Filter())]

    assert await queue.replay(ids, not_before_s=0) == 4
    claims = await claimed(queue)
    assert {one.id: one for claim in claims for one in claim} == {one.id: one for one in records}
    assert [len(claim) for claim in claims] == [2, 1, 1]


DAY_S = 24 * 60 * 60
AGES: list[tuple[str, int, bool]] = [
    ("website", 6, False),
    ("website", 8, True),
    ("system_generated", 8, True),
    ("physical_store", 8, False),
    ("physical_store", 61, False),
    ("physical_store", 63, True),
]


@pytest.mark.only_sqlite
@pytest.mark.parametrize(("source", "days", "expires"), AGES)
async def test_an_event_expires_at_the_age_of_its_source(
    queue: WholeQueue, source: str, days: int, *, expires: bool
) -> None:
    """An event expires seven days after it happened, or 62 for ``physical_store``; a replay has the same limit."""
    old = server_record(1, SPRING, source, time_s=NOW_S - days * DAY_S)
    await queue.append([old])
    expired, more = await queue.expire(before_s=NOW_S - 7 * DAY_S)
    letters = await queue.dead_letters(Filter())
    await queue.settle([], Settlement(dead=(NewDeadLetter(old, "rejected", Dead("").graph_error, 1),)))
    (letter, *_) = await queue.dead_letters(Filter())

    assert (expired, more) == ({PIXEL: 1} if expires else {}, False)
    assert [letter.reason for letter in letters] == ["too_old"] * expires
    assert await queue.replay([letter.id], not_before_s=NOW_S - 7 * DAY_S) == 1 - expires


@pytest.mark.only_sqlite
async def test_the_young_and_the_old_of_one_till_part(queue: LocalQueue) -> None:
    """Only the events of a segment that are too old leave it, and the segment is not read again and again."""
    sales = [server_record(number, NO_FIELDS, "physical_store", time_s=NOW_S - number * DAY_S) for number in (60, 70)]
    await queue.append(sales)

    assert await queue.expire(before_s=NOW_S - 7 * DAY_S) == ({PIXEL: 1}, False)
    assert await queue.expire(before_s=NOW_S - 7 * DAY_S) == ({}, False)
    assert await claimed(queue) == [[sales[0]]]


@pytest.mark.only_sqlite
async def test_many_requests_at_once_are_kept_apart(queue: LocalQueue) -> None:
    """Requests with different fields that share a commit are not mixed."""
    requests: list[Sequence[Record]] = [mixed(40)[number::4] for number in range(4)]
    await asyncio.gather(*(queue.append(request) for request in requests))

    assert sorted(len(claim) for claim in await claimed(queue)) == [10, 10, 20]


@pytest.mark.only_sqlite
async def test_browsers_events_are_claimed_as_before(queue: LocalQueue) -> None:
    """A claim asks the table once if no server sends events, else once more for each kind that has none.

    A claim of suspects does not depend on the fields of fresh events.
    """
    asked: list[str] = []

    def listen(_cursor: object, statement: str, _values: object) -> bool:
        asked.append(statement)
        return True

    db = queue._store.tables.db
    await queue.append([record(number) for number in range(10)])
    await queue._writer.do(lambda: db.set_exec_trace(listen))
    segments = await queue.claim(PIXEL, most=1000)
    alone = len([statement for statement in asked if "FROM segment" in statement])
    await queue.append([server_record(20, SPRING)])
    asked.clear()
    more = await queue.claim(PIXEL, most=1000)
    beside = len([statement for statement in asked if "FROM segment" in statement])
    await queue.append([server_record(number, RequestFields(upload_id=str(number))) for number in range(30, 60)])
    asked.clear()
    assert await queue.claim(PIXEL, most=1000, suspect=True) == ()
    of_suspects = len([statement for statement in asked if "FROM segment" in statement])
    await queue._writer.do(lambda: db.set_exec_trace(None))

    assert (len(segments), len(more)) == (1, 1)
    assert alone == 1
    assert beside <= 2
    assert of_suspects == 2
