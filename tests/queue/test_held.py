"""Events that are not due are held apart: no claim and no figure reads them, and they are released when due."""

import asyncio

import pytest
from clock import NOON, Clock
from held_rig import claimed, figures, held_event, ids
from support import PIXEL, record, server_record

from proxy.model.event import DropReason
from proxy.model.ledger import Status
from proxy.model.server_request import RequestFields
from proxy.model.suppression import SuppressionKind
from proxy.model.units import DAY_MS
from proxy.queue.contract import Erased, Filter, Oldest, Settlement, WholeQueue
from proxy.queue.sqlite.engine import LocalQueue

pytestmark = pytest.mark.both_engines

ANNA, BERT = b"a" * 16, b"b" * 16
SPRING = RequestFields(upload_tag="spring")


@pytest.mark.parametrize(
    ("of_call", "of_record", "due"),
    [(0, 0, 0), (0, 5, 5), (5, 0, 5), (5, 9, 9), (9, 5, 9), (-5, 0, 0), (0, -5, 0), (5, -5, 5)],
)
async def test_an_event_is_due_at_the_later_of_its_moments(
    queue: WholeQueue, clock: Clock, of_call: int, of_record: int, due: int
) -> None:
    """Both the call and the event may set a time; without one, or with one that is past, the event is due at once."""
    moments = [NOON + seconds * 1000 if seconds else 0 for seconds in (of_call, of_record)]
    await queue.append([record(1)._replace(not_before=moments[1])], not_before=moments[0])
    before = figures(queue.stats())
    clock.now = NOON + due * 1000 - 1
    early = await claimed(queue) if due else []
    clock.now += 1

    assert before == ((1, 1, due) if due else (1, 0, None))
    assert early == []
    assert await claimed(queue) == ["id-1"]
    assert figures(queue.stats()) == (1, 0, None)


async def test_what_the_queue_seals_itself_has_its_moment_too(queue: WholeQueue, clock: Clock) -> None:
    """Records that the queue has to seal again, because of a suppression or another visitor's id, are held as well."""
    lookalike = ANNA[:-1] + b"x"
    await queue.suppress([ANNA], SuppressionKind.OPT_OUT, NOON)
    worth = [record(7, visitor=visitor)._replace(name="Purchase", worth=visitor) for visitor in (b"abcd", b"wxyz")]
    await queue.append([worth[0]])
    await queue.append(
        [
            record(1)._replace(person_digests=(lookalike,)),
            held_event(2, 5, lookalike),
            worth[1]._replace(not_before=NOON + 9000),
        ]
    )

    assert sorted(await claimed(queue)) == ["id-1", "id-7"]
    assert figures(queue.stats()) == (4, 2, 5)
    clock.now += 5000
    assert await claimed(queue) == ["id-2"]
    clock.now += 4000
    assert await claimed(queue) == ["id-7"]


async def test_one_call_may_bring_events_of_several_moments(queue: WholeQueue, clock: Clock) -> None:
    """Each event of a call waits until its own time, and delays no other."""
    await queue.append([held_event(1, 9), record(2), held_event(3, 5), held_event(4, 9), record(5)])
    found = []
    for seconds in (0, 5, 9):
        clock.now = NOON + seconds * 1000
        found.append(await claimed(queue))

    assert found == [["id-2", "id-5"], ["id-3"], ["id-1", "id-4"]]


async def test_what_was_held_counts_as_arrived_when_it_became_due(queue: WholeQueue, clock: Clock) -> None:
    """The age of a held event is counted from its due time; while it is held, the pixel has no oldest event."""
    await queue.append([held_event(1, 60)])
    await queue.append([held_event(2, 90)])
    assert await queue.oldest([PIXEL]) == {PIXEL: Oldest()}
    clock.now += 100_000
    await queue.append([record(3)])

    newest = await queue.claim(PIXEL, most=1, newest=True)
    assert await queue.oldest([PIXEL]) == {PIXEL: Oldest(NOON + 60_000)}
    oldest = await queue.claim(PIXEL, most=1)
    assert [(ids([segment]), segment.at) for segment in (*newest, *oldest)] == [
        (["id-3"], NOON + 100_000),
        (["id-1"], NOON + 60_000),
    ]


@pytest.mark.only_sqlite
async def test_a_release_is_the_whole_files_and_comes_in_slices(queue: WholeQueue, clock: Clock) -> None:
    """A claim releases the due events of all pixels in slices, the earliest first, and goes on with the next slice."""
    appends = [queue.append([record(n)], not_before=NOON + n) for n in range(1, 1201)]
    await asyncio.gather(*appends, queue.append([record(9000, pixel="2")], not_before=NOON + 1))
    clock.now += 2000
    left = []
    while segments := await queue.claim(PIXEL, most=50):
        left.append((queue.stats().held.get(PIXEL, 0), queue.stats().next_due))
        await queue.settle(segments, Settlement(done=tuple(segment.ref for segment in segments)))

    assert left[:3] == [(701, NOON + 500), (201, NOON + 1000), (0, None)]
    assert queue.stats().waiting == {"2": 1}
    assert ids(await queue.claim("2", most=10)) == ["id-9000"]


@pytest.mark.only_sqlite
async def test_a_slice_of_large_segments_has_fewer_of_them(queue: WholeQueue, clock: Clock) -> None:
    """A release has to encrypt segments again, so a slice ends after some thousand events, however few the segments."""
    for start in range(0, 6000, 300):
        await queue.append([record(start + n) for n in range(300)], not_before=NOON + 1 + start)
    clock.now += 10_000
    left = []
    while await queue.claim(PIXEL, most=1):
        left.append(queue.stats().held.get(PIXEL, 0))

    assert left[:3] == [3900, 1800, 0]


@pytest.mark.only_sqlite
async def test_fields_that_only_held_events_have_take_no_turn(queue: LocalQueue, clock: Clock) -> None:
    """Fields of held events get no turn in the rotation before they are due; then they do."""
    await queue.append([held_event(1, 5, source=server_record(1, SPRING, time_s=NOON // 1000))])
    assert queue._store.tables.counts.with_fields.values == {}
    clock.now += 5000

    assert await claimed(queue) == ["id-1"]
    assert sum(queue._store.tables.counts.with_fields.values.values()) == 1


# -- suppressions, erasures and expiry reach held events


async def test_an_opt_out_reaches_what_is_held(queue: WholeQueue, clock: Clock) -> None:
    """Events of a person who opted out while they were held are dropped when they are due."""
    await queue.append([held_event(1, 5, ANNA), held_event(2, 5, BERT)])
    await queue.suppress([ANNA], SuppressionKind.OPT_OUT, NOON + 1000)
    clock.now += 5000

    assert await claimed(queue) == ["id-2"]
    assert queue.stats().withheld == {DropReason.OPTED_OUT: 1}
    assert figures(queue.stats()) == (1, 0, None)


async def test_an_erasure_reaches_what_is_held(queue: WholeQueue, clock: Clock) -> None:
    """A person's held events are removed at once; other events of their segment stay held."""
    await queue.append([held_event(1, 5, ANNA), held_event(2, 5, BERT)])
    await queue.append([held_event(3, 9, ANNA)])
    erased = await queue.erase([ANNA], NOON + 1000)

    assert erased == Erased(waiting=2, dead=0)
    assert figures(queue.stats()) == (1, 1, 5)
    assert await claimed(queue) == []
    clock.now += 5000
    assert await claimed(queue) == ["id-2"]
    assert figures(queue.stats()) == (1, 0, None)


async def test_what_is_held_grows_too_old_too(queue: WholeQueue, clock: Clock) -> None:
    """A held event that becomes too old is made a dead letter; others stay held, and a replay is due at once."""
    old = record(1, time_s=NOON // 1000 - 1000)._replace(not_before=NOON + DAY_MS)
    await queue.append([old, held_event(2, 86_400)])
    expired = await queue.expire(before_s=NOON // 1000 - 500)
    (letter,) = await queue.dead_letters(Filter())

    assert expired == ({PIXEL: 1}, False)
    assert figures(queue.stats()) == (1, 1, 86_400)
    assert [row.status async for row in queue.events(Filter())] == [Status.DEAD]
    assert await queue.replay([letter.id], not_before_s=0) == 1
    assert await claimed(queue) == ["id-1"]
    clock.now += DAY_MS
    assert await claimed(queue) == ["id-2"]


@pytest.mark.only_sqlite
async def test_a_held_segment_that_was_damaged_holds_up_no_other(queue: LocalQueue, clock: Clock) -> None:
    """A damaged segment is released with the others and skipped when it is claimed."""
    await queue.append([held_event(1, 5)])
    await queue._writer.do(lambda: queue._store.tables.db.execute("UPDATE segment SET sealed=x'01'"))
    await queue.append([held_event(2, 6)])
    clock.now += 6000

    assert await claimed(queue) == ["id-2"]
    assert figures(queue.stats()) == (2, 0, None)
    assert await queue.oldest([PIXEL]) == {PIXEL: Oldest(NOON + 6000)}
