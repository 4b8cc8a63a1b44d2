"""What every queue promises, held against the real SQLite file."""

import asyncio
import math
import struct
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import apsw
import orjson
import pytest
from clock import NOON, Clock
from old_layouts import write_as_layout_1, write_as_layout_3, write_as_layout_5
from queues import Opener, tidy
from support import PIXEL, SECRET, record, until

from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.model.event import BrowserCopy
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow, Status
from proxy.model.record import Record
from proxy.model.units import DAY_MS
from proxy.model.verdict import GraphError
from proxy.queue.contract import (
    DeliveryState,
    Filter,
    NewDeadLetter,
    Oldest,
    QueueBrokenError,
    QueueError,
    QueueFullError,
    Remainder,
    Settlement,
    WholeQueue,
)
from proxy.queue.group import Group, SealedSegment
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.data_dir import DataDirBusyError, DataDirLock
from proxy.queue.sqlite.engine import LocalQueue
from proxy.queue.sqlite.work import Work

pytestmark = pytest.mark.both_engines

HOUR = 60 * 60 * 1000


def open_queue(
    directory: Path,
    clock: Clock,
    *,
    secret: str = SECRET,
    old: tuple[str, ...] = (),
    limits: QueueSettings | None = None,
) -> LocalQueue:
    return LocalQueue.open(
        directory,
        Sealer(secret, old),
        limits=limits or QueueSettings(),
        retention=RetentionSettings(),
        now=clock,
        on_broken=lambda _error: None,
    )


async def claimed(queue: WholeQueue, pixel: str = PIXEL, most: int = 1000) -> list[Record]:
    return [record for segment in await queue.claim(pixel, most=most) for record in segment.records]


def row(number: int, *, at: int = NOON, status: Status = Status.DELIVERED) -> LedgerRow:
    return LedgerRow(at, PIXEL, "PageView", f"id-{number}", at // 1000, status)


async def listed(queue: WholeQueue, wanted: Filter = Filter()) -> list[LedgerRow]:  # noqa: B008 - frozen
    return [found async for found in queue.events(wanted)]


async def test_what_was_appended_is_claimed_in_order(queue: WholeQueue) -> None:
    """Records are claimed in the order of their arrival, with payloads byte for byte."""
    first, second = [record(1), record(2)], [record(3)]
    await queue.append(first)
    await queue.append(second)

    assert await claimed(queue) == first + second


async def test_what_was_acknowledged_survives_a_restart(opener: Opener) -> None:
    """After a restart all records are there, and those claimed but not settled can be claimed again."""
    queue = await opener()
    await queue.append([record(1), record(2)])
    assert len(await claimed(queue)) == 2
    await queue.close()

    again = await opener()
    found = await claimed(again)
    await again.close()

    assert found == [record(1), record(2)._replace(time_s=found[1].time_s, payload=found[1].payload)]


async def test_a_claim_is_exclusive_until_released(queue: WholeQueue) -> None:
    """A claimed segment is not claimed again until it is released."""
    await queue.append([record(1)])
    segments = await queue.claim(PIXEL, most=10)

    assert await queue.claim(PIXEL, most=10) == ()
    await queue.release(segments)
    assert await queue.claim(PIXEL, most=10) == segments


async def test_what_has_a_moment_is_not_claimed_before_it(opener: Opener, clock: Clock) -> None:
    """Events stored for a later time wait for it, across a restart too, and delay no other event."""
    queue = await opener()
    await queue.append([record(1), record(2)], not_before=NOON + HOUR)
    await queue.append([record(3)])
    assert [found.id for found in await claimed(queue)] == ["id-3"]
    assert queue.stats().waiting == {PIXEL: 3}
    await queue.close()
    again = await opener()
    await again.append([record(4)])
    clock.now = NOON + HOUR - 1
    newest = await again.claim(PIXEL, most=10, newest=True)
    assert {found.id for segment in newest for found in segment.records} == {"id-3", "id-4"}
    clock.now = NOON + HOUR

    assert [found.id for found in await claimed(again)] == ["id-1", "id-2"]
    await again.close()


async def test_callers_with_and_without_a_moment_share_no_segment(queue: WholeQueue, clock: Clock) -> None:
    """Calls that are committed together keep their own due times."""
    moments = [0, NOON + 1, 0, NOON + 2, NOON + 1]
    await asyncio.gather(*(queue.append([record(k)], not_before=moment) for k, moment in enumerate(moments)))
    found = []
    for moment in (NOON, NOON + 1, NOON + 2):
        clock.now = moment
        found.append([record.id for record in await claimed(queue)])

    assert found == [["id-0", "id-2"], ["id-1", "id-4"], ["id-3"]]


PAUSED = DeliveryState("token", 3, NOON + 60_000, "token", GraphError(190, 460, "Graph's words", "trace"))


async def test_how_a_lane_stands_outlives_a_restart(opener: Opener) -> None:
    """Pause, failures, time of the next try and Graph's error are read back; another pixel's lane is unaffected."""
    queue = await opener()
    await queue.keep_lane_state(PIXEL, DeliveryState(failures=1))
    await queue.keep_lane_state(PIXEL, PAUSED)
    await queue.close()
    again = await opener()

    assert await again.lane_state(PIXEL) == PAUSED
    assert await again.lane_state("2") == DeliveryState()
    await again.keep_lane_state(PIXEL, DeliveryState())
    await again.close()
    last = await opener()
    assert await last.lane_state(PIXEL) == DeliveryState()
    await last.close()


@pytest.mark.only_sqlite
async def test_a_lane_that_stands_as_before_is_not_written(queue: LocalQueue) -> None:
    """Keeping the same state again writes nothing; a state whose write failed is written at the next attempt."""
    written: list[DeliveryState] = []
    keep = queue._store.tables.lanes.keep

    def keeping(pixel: str, state: DeliveryState) -> None:
        written.append(state)
        if len(written) == 1:
            raise KeyError
        keep(pixel, state)

    queue._store.tables.lanes.keep = keeping  # type: ignore[method-assign]
    with pytest.raises(QueueError):
        await queue.keep_lane_state(PIXEL, PAUSED)
    for state in (PAUSED, PAUSED, DeliveryState(), DeliveryState(), PAUSED):
        await queue.keep_lane_state(PIXEL, state)

    assert written == [PAUSED, PAUSED, DeliveryState(), PAUSED]
    assert await queue.lane_state(PIXEL) == PAUSED


async def test_a_settlement_here_is_settled_by_nobody_else(queue: WholeQueue) -> None:
    """A single process owns the queue, so no other can have settled its segments."""
    await queue.append([record(1)])
    segments = await queue.claim(PIXEL, most=10)

    assert await queue.settle(segments, Settlement(done=(segments[0].ref,))) == frozenset()


async def test_pixels_are_lanes_of_their_own(queue: WholeQueue) -> None:
    """A claim for one pixel never has another pixel's events."""
    await queue.append([record(1, pixel="1"), record(2, pixel="2")])

    assert [found.id for found in await claimed(queue, "2")] == ["id-2"]


async def test_a_claim_respects_its_bound(queue: WholeQueue) -> None:
    """Whole segments are claimed up to the bound, and always at least one."""
    for start in range(0, 30, 10):
        await queue.append([record(number) for number in range(start, start + 10)])

    assert len(await claimed(queue, most=20)) == 20
    assert len(await claimed(queue, most=3)) == 10


async def test_a_large_append_is_cut_into_segments_that_fit_a_request(queue: WholeQueue) -> None:
    """Two segments together never exceed what Graph takes in one request."""
    await queue.append([record(number) for number in range(1200)])

    assert len(await claimed(queue, most=1000)) == 1000
    assert len(await claimed(queue, most=1000)) == 200


async def test_a_repeat_is_acknowledged_and_not_sent_again(queue: WholeQueue) -> None:
    """The same event of the same visitor is stored once, within a call, in a later one or in a parallel one."""
    stored = await queue.append([record(1), record(1)])
    again = await queue.append([record(1)])
    both = await asyncio.gather(queue.append([record(2)]), queue.append([record(2)]))

    assert [found.id for found in await claimed(queue)] == ["id-1", "id-2"]
    assert (len(stored.duplicates), len(again.duplicates)) == (1, 1)
    assert sum(len(answer.duplicates) for answer in both) == 1


async def test_a_repeat_is_known_after_a_restart(opener: Opener) -> None:
    """The duplicate memory is as durable as the events."""
    queue = await opener()
    await queue.append([record(1)])
    await queue.close()
    again = await opener()
    stored = await again.append([record(1)])
    await again.close()

    assert len(stored.duplicates) == 1


async def test_an_id_of_another_visitor_is_sent_and_counted(queue: WholeQueue) -> None:
    """A cached page gives one id to many visitors: each one's event is sent, and each one's own repeats are known."""
    await queue.append([record(1, visitor=b"aaaa")])
    of_another_visitor = await queue.append([record(1, visitor=b"bbbb")])
    repeat = await queue.append([record(1, visitor=b"bbbb")])

    assert (of_another_visitor.reused, len(of_another_visitor.duplicates)) == (1, 0)
    assert len(repeat.duplicates) == 1


CHEAP, DEAR = b"0.01", b"99.9"


# Visitor and value of each Purchase in turn; for each, whether it conflicts with another visitor's value.
ORDERS: list[tuple[list[tuple[bytes, bytes]], list[bool]]] = [
    ([(b"aaaa", CHEAP), (b"bbbb", DEAR)], [False, True]),
    ([(b"aaaa", DEAR), (b"bbbb", DEAR)], [False, False]),
    ([(b"aaaa", CHEAP), (b"aaaa", DEAR)], [False, False]),
    ([(b"aaaa", DEAR), (b"bbbb", CHEAP), (b"cccc", DEAR)], [False, True, True]),
    ([(b"aaaa", b""), (b"bbbb", DEAR)], [False, False]),
    ([(b"aaaa", DEAR), (b"bbbb", b"")], [False, False]),
]


@pytest.mark.parametrize(("orders", "conflicts"), ORDERS)
async def test_one_order_of_two_visitors_with_two_values_is_told(
    queue: WholeQueue, clock: Clock, orders: list[tuple[bytes, bytes]], conflicts: list[bool]
) -> None:
    """Both the real buyer's Purchase and a stranger's with a guessed id are sent, and the second has a finding."""
    told = []
    for visitor, worth in orders:
        clock.now += 17 * 3_600_000  # into another table each time
        stored = await queue.append([record(1, visitor=visitor)._replace(worth=worth)])
        told.append([conflict.visitor for conflict in stored.conflicts] == [visitor])
    found = [record for segment in await queue.claim(PIXEL, most=10) for record in segment.records]

    assert told == conflicts
    assert len(found) == len(set(orders) | {orders[-1]}) - (orders[0][0] == orders[-1][0])
    assert ["id:conflict" in record.findings for record in found] == conflicts[: len(found)]


@pytest.mark.parametrize(("hours", "is_repeat"), [(0, True), (47, True), (48, True), (64, False), (24 * 30, False)])
async def test_repeats_are_known_for_48_hours(queue: WholeQueue, clock: Clock, hours: int, *, is_repeat: bool) -> None:
    """A repeat within 48 hours is known; at the latest after 64 hours it is not."""
    await queue.append([record(1)])
    for passed in [16] * (hours // 16) + [hours % 16]:
        clock.now += passed * HOUR
        await tidy(queue)
    await queue.append([record(2)])

    assert bool((await queue.append([record(1)])).duplicates) is is_repeat


async def test_a_clock_set_back_forgets_nothing(queue: WholeQueue, clock: Clock) -> None:
    """A clock that jumps a day back and forth loses neither events nor the memory of recent ones."""
    await queue.append([record(1)])
    clock.now -= DAY_MS
    await queue.append([record(2)])
    clock.now += DAY_MS

    assert len((await queue.append([record(1), record(2)])).duplicates) == 2
    assert len(await claimed(queue)) == 2


async def test_settled_segments_are_gone_for_good(opener: Opener) -> None:
    """Settled events are gone, also after a restart; their ledger rows are there."""
    queue = await opener()
    await queue.append([record(1)])
    segments = await queue.claim(PIXEL, most=10)
    await queue.settle(segments, Settlement(done=(segments[0].ref,), rows=(row(1),)))
    await queue.close()
    again = await opener()

    assert await claimed(again) == []
    assert [found.id for found in await listed(again)] == ["id-1"]
    assert again.stats().waiting == {}
    await again.close()


async def test_the_survivors_of_a_partial_failure_stay(queue: WholeQueue) -> None:
    """A remainder replaces its segment in the same transaction, and keeps its attempts and strikes."""
    await queue.append([record(1), record(2)])
    segments = await queue.claim(PIXEL, most=10)
    remainder = Remainder(PIXEL, 3, 1, (segments[0].records[1],))
    await queue.settle(segments, Settlement(done=(segments[0].ref,), remainders=(remainder,), rows=(row(1),)))
    (left,) = await queue.claim(PIXEL, most=10)

    assert ([found.id for found in left.records], left.attempts, left.strikes) == (["id-2"], 3, 1)
    assert queue.stats().waiting == {PIXEL: 1}


async def test_a_failed_attempt_is_remembered(queue: WholeQueue) -> None:
    """A segment that stays has its attempts and strikes counted, and can be claimed again."""
    await queue.append([record(1)])
    for struck in (False, True):
        segments = await queue.claim(PIXEL, most=10)
        await queue.settle(segments, Settlement(tried=(segments[0].ref,), struck=struck))
    (segment,) = await queue.claim(PIXEL, most=10)

    assert (segment.attempts, segment.strikes) == (2, 1)


async def dead_letter(queue: WholeQueue, number: int = 1, *, time_s: int = NOON // 1000) -> int:
    await queue.append([record(number, time_s=time_s)])
    segments = await queue.claim(PIXEL, most=10)
    graph_error = GraphError(100, 2804017, "Graph's words", "trace")
    letters = tuple(NewDeadLetter(found, "rejected", graph_error, 2) for found in segments[0].records)
    await queue.settle(segments, Settlement(done=(segments[0].ref,), dead=letters))
    return (await queue.dead_letters(Filter()))[0].id


async def test_a_dead_letter_keeps_everything(queue: WholeQueue) -> None:
    """Event, reason, Graph's words, attempts and the payload are kept."""
    await dead_letter(queue)
    (letter,) = await queue.dead_letters(Filter())

    assert (letter.name, letter.event_id, letter.reason, letter.attempts) == ("PageView", "id-1", "rejected", 2)
    assert letter.graph_error == GraphError(100, 2804017, "Graph's words", "trace")
    assert letter.payload == record(1, time_s=NOON // 1000).payload
    assert queue.stats().dead == 1


async def test_a_replayed_letter_is_delivered_with_its_id(queue: WholeQueue) -> None:
    """A replay moves the record back unchanged, past the duplicate memory."""
    number = await dead_letter(queue)

    assert await queue.replay([number, 999], not_before_s=0) == 1
    assert await claimed(queue) == [record(1, time_s=NOON // 1000)]
    assert (await queue.dead_letters(Filter()), queue.stats().dead) == ([], 0)


async def test_nothing_too_old_is_replayed(queue: WholeQueue) -> None:
    """A letter whose event is older than the bound is not replayed."""
    number = await dead_letter(queue)

    assert await queue.replay([number], not_before_s=NOON // 1000 + 1) == 0
    assert len(await queue.dead_letters(Filter())) == 1


async def test_discarded_letters_are_gone(queue: WholeQueue) -> None:
    """A discard removes only the letters it names."""
    first = await dead_letter(queue, 1)
    await dead_letter(queue, 2)

    assert await queue.discard([first]) == 1
    assert [letter.event_id for letter in await queue.dead_letters(Filter())] == ["id-2"]


@pytest.mark.parametrize("restarts", [False, True])
async def test_the_number_of_a_dead_letter_is_never_given_again(opener: Opener, *, restarts: bool) -> None:
    """The number of a discarded letter is not reused, so an old page's request affects no other letter."""
    queue = await opener()
    stale = await dead_letter(queue, 1)
    await queue.discard([stale])
    if restarts:
        await queue.close()
        queue = await opener()
    await dead_letter(queue, 2)

    assert await queue.discard([stale]) == 0
    assert await queue.replay([stale], not_before_s=0) == 0
    assert [letter.event_id for letter in await queue.dead_letters(Filter())] == ["id-2"]
    await queue.close()


@pytest.mark.only_sqlite
async def test_many_dead_letters_are_read_and_removed_in_slices(queue: LocalQueue) -> None:
    """No step on the writer thread reads or removes more than a hundred letters, so that appends can run in between."""
    await queue.append([record(number, time_s=NOON // 1000) for number in range(450)])
    segments = await queue.claim(PIXEL, most=1000)
    letters = tuple(
        NewDeadLetter(record, "rejected", GraphError(), 1) for segment in segments for record in segment.records
    )
    await queue.settle(segments, Settlement(done=tuple(segment.ref for segment in segments), dead=letters))
    sizes = sizes_of_steps(queue)
    found = await queue.dead_letters(Filter(limit=400))
    discarded = await queue.discard([letter.id for letter in found[:200]])
    replayed = await queue.replay([letter.id for letter in found[200:]], not_before_s=0)

    assert [letter.event_id for letter in found] == [f"id-{number}" for number in range(449, 49, -1)]
    assert (discarded, replayed, queue.stats().dead) == (200, 200, 50)
    assert sizes == [100] * 8


def sizes_of_steps(queue: LocalQueue) -> list[int]:
    """Return a list that grows by the number of letters of each step that reads, removes or puts back."""
    store, reader, sizes = queue._store, queue._reader, list[int]()
    read, take, discard = reader._dead.read, store.tables.dead.take, store.tables.dead.discard

    def reading(wanted: Filter) -> Any:
        found = read(wanted)
        sizes.append(len(found))
        return found

    def taking(ids: Any, not_before_s: int) -> Any:
        sizes.append(len(ids))
        return take(ids, not_before_s)

    def discarding(ids: Any) -> int:
        if len(ids) > 1:
            sizes.append(len(ids))
        return discard(ids)

    reader._dead.read, store.tables.dead.take, store.tables.dead.discard = reading, taking, discarding  # type: ignore[method-assign]
    return sizes


async def test_dead_letters_are_chosen_and_paged(queue: WholeQueue) -> None:
    """Filters work for dead letters too, and a page begins where the last one ended."""
    numbers = [await dead_letter(queue, number) for number in range(1, 4)]

    async def ids(**wanted: Any) -> list[str]:
        return [letter.event_id for letter in await queue.dead_letters(Filter(**wanted))]

    assert await ids(reason="rejected", limit=2) == ["id-3", "id-2"]
    assert await ids(reason="rejected", before=numbers[1]) == ["id-1"]
    assert await ids(reason="too_old") == []
    assert await ids(id="id-2", name="PageView", pixel=PIXEL) == ["id-2"]


@pytest.mark.only_sqlite
async def test_a_damaged_letter_hides_no_other(queue: LocalQueue, caplog: pytest.LogCaptureFixture) -> None:
    """A letter that cannot be decrypted is listed without its payload and stays; the others are replayed."""
    numbers = [await dead_letter(queue, number) for number in (1, 2)]
    await queue._writer.do(
        lambda: queue._store.tables.db.execute("UPDATE dead SET sealed=x'01' WHERE id=?", (numbers[0],))
    )

    listed = {letter.event_id: letter.payload for letter in await queue.dead_letters(Filter())}
    assert await queue.replay(numbers, not_before_s=0) == 1
    assert listed == {"id-2": record(2, time_s=NOON // 1000).payload, "id-1": b""}
    assert [found.id for found in await claimed(queue)] == ["id-2"]
    assert queue.stats().dead == 1
    assert "was damaged on disk" in caplog.text


@pytest.mark.only_sqlite
async def test_old_letters_are_forgotten(opener: Opener, clock: Clock) -> None:
    """Letters older than their retention are removed after the next start; younger ones stay."""
    queue = await opener()
    await dead_letter(queue, 1)
    clock.now += 5 * DAY_MS
    await dead_letter(queue, 2)
    await queue.close()
    clock.now += 3 * DAY_MS
    again = await opener()

    async def forgotten() -> bool:
        return [letter.event_id for letter in await again.dead_letters(Filter())] == ["id-2"]

    await until(forgotten, what="retention")
    assert again.stats().dead == 1
    await again.close()


@pytest.mark.only_sqlite
async def test_a_look_that_is_cancelled_together_with_its_answer_ends(
    queue: LocalQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that is cancelled at the moment of the disk's answer is cancelled, not kept in its loop."""
    answer = asyncio.get_running_loop().create_future()

    async def do(_work: object) -> None:
        await answer

    monkeypatch.setattr(queue._writer, "do", do)
    looking = asyncio.create_task(queue.ready())
    for _ in range(3):
        await asyncio.sleep(0)
    answer.set_result(None)
    looking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await looking


@pytest.mark.only_sqlite
async def test_a_full_disk_is_not_asked_at_once_to_forget_again(
    queue: LocalQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If forgetting fails on a full disk, it is tried at its next turn instead of after every commit."""
    asked = 0

    def forget(_now: int, _retention: RetentionSettings) -> bool:
        nonlocal asked
        asked += 1
        raise apsw.FullError

    def become_due() -> None:
        queue._store.housekeeping._tidied_at = -math.inf

    await queue.append([record(0)])
    await queue._writer.do(lambda: None)  # behind the housekeeping after the append
    monkeypatch.setattr(queue._store.tables.ledger, "forget", forget)
    await queue._writer.do(become_due)
    for number in range(1, 10):
        with suppress(QueueFullError):
            await queue.append([record(number)])

    assert asked == 1


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Filter(), ["id-3", "id-2", "id-1"]),
        (Filter(limit=2), ["id-3", "id-2"]),
        (Filter(status=Status.DROPPED), ["id-2"]),
        (Filter(id="id-1"), ["id-1"]),
        (Filter(name="PageView", pixel=PIXEL, limit=1), ["id-3"]),
        (Filter(name="pageview"), []),
    ],
)
async def test_the_ledger_is_filtered(queue: WholeQueue, wanted: Filter, ids: list[str]) -> None:
    """The wanted rows are returned, newest first, across days."""
    queue.note([row(1, at=NOON - DAY_MS), row(2, status=Status.DROPPED), row(3)])

    async def written() -> bool:
        return len(await listed(queue)) == 3

    await until(written, what="three ledger rows")
    assert [found.id for found in await listed(queue, wanted)] == ids


async def test_later_news_of_a_browser_copy_joins_its_event(queue: WholeQueue) -> None:
    """An update that comes before or after the row is written shows in the row."""
    queue.note((), [BrowserCopyUpdate("PageView", "id-1", BrowserCopy.BLOCKED)], [PIXEL])
    queue.note([row(1), row(2)])

    async def joined() -> bool:
        return [found.browser_copy for found in await listed(queue)] == [BrowserCopy.PENDING, BrowserCopy.BLOCKED]

    assert await until(joined, what="updates in the ledger")


async def test_nobody_speaks_for_the_browser_of_somebody_else(queue: WholeQueue) -> None:
    """Each visitor's updates affect the row of that visitor's event; a stranger's are ignored and counted."""
    honest, neighbour, stranger = (letter * 4 for letter in (b"a", b"b", b"c"))
    await queue.append([record(1, visitor=honest), record(1, visitor=neighbour)])
    queue.note([row(1)._replace(visitor=honest), row(1)._replace(visitor=neighbour)])
    for visitor, browser_copy in (
        (neighbour, BrowserCopy.BLOCKED),
        (stranger, BrowserCopy.BLOCKED),
        (honest, BrowserCopy.FIRED),
        (b"", BrowserCopy.BLOCKED),
    ):
        queue.note((), [BrowserCopyUpdate("PageView", "id-1", browser_copy)], [PIXEL], [visitor])

    async def joined() -> bool:
        return [found.browser_copy for found in await listed(queue)] == [BrowserCopy.BLOCKED, BrowserCopy.FIRED]

    assert await until(joined, what="updates in the ledger")
    assert queue.stats().foreign_updates == 2


async def test_news_find_the_event_from_before_the_browser_had_an_id(queue: WholeQueue) -> None:
    """A browser gets its id with the first answer; its updates come under the id, and find the event from before it."""
    await queue.append([record(1, visitor=b"bare")])
    queue.note([row(1)._replace(visitor=b"bare")])
    queue.note((), [BrowserCopyUpdate("PageView", "id-1", BrowserCopy.BLOCKED)], [PIXEL], [b"fbp1", b"bare"])

    async def joined() -> bool:
        return [found.browser_copy for found in await listed(queue)] == [BrowserCopy.BLOCKED]

    assert await until(joined, what="updates in the ledger")
    assert queue.stats().foreign_updates == 0


@pytest.mark.only_sqlite
async def test_the_ledger_does_not_tell_whose_its_events_are(tmp_path: Path, clock: Clock) -> None:
    """Two rows of one visitor share no value in the file, and the visitor's four bytes are not stored."""
    queue = open_queue(tmp_path, clock)
    await queue.settle((), Settlement(rows=tuple(row(n)._replace(visitor=b"\xfe\xdc\xba\x98") for n in range(2))))
    await queue.close()
    with closing(apsw.Connection(str(tmp_path / "queue.db"))) as db:
        sql = f"SELECT copy FROM ledger_{NOON // DAY_MS}"
        (first,), (second,) = db.execute(sql).fetchall()

    assert first != second
    assert b"\xfe\xdc\xba\x98" not in (tmp_path / "queue.db").read_bytes()


@pytest.mark.only_sqlite
async def test_old_days_are_dropped_whole(opener: Opener) -> None:
    """A ledger day older than its retention is removed at the next tidying; younger days stay."""
    queue = await opener()
    queue.note([row(1, at=NOON - 8 * DAY_MS), row(2, at=NOON - 6 * DAY_MS)])
    await queue.close()
    again = await opener()

    async def tidied() -> bool:
        return [found.id for found in await listed(again)] == ["id-2"]

    assert await until(tidied, what="retention")
    await again.close()


@pytest.mark.only_sqlite
async def test_a_full_queue_refuses_and_keeps_what_it_has(tmp_path: Path, clock: Clock) -> None:
    """At its bound the queue refuses an append; it never removes acknowledged events."""
    queue = open_queue(tmp_path, clock, limits=QueueSettings(max_events=1000))
    await queue.append([record(number) for number in range(1000)])

    with pytest.raises(QueueFullError, match="max_events"):
        await queue.append([record(1001)])
    assert len(await claimed(queue)) == 1000
    await queue.close()


@pytest.mark.only_sqlite
async def test_a_full_disk_refuses_and_recovers(tmp_path: Path, clock: Clock) -> None:
    """If SQLite has no page left, the append fails as a whole; with room again, appends work."""
    queue = open_queue(tmp_path, clock)
    await queue.append([record(0)])
    database = queue._store.tables.db
    pages = database.pragma("page_count")
    await queue._writer.do(lambda: database.pragma("max_page_count", pages + 2))
    with pytest.raises(QueueFullError):
        await queue.append([record(number) for number in range(1, 400)])
    assert queue.stats().waiting == {PIXEL: 1}
    await queue._writer.do(lambda: database.pragma("max_page_count", 1 << 30))

    async def takes_again() -> bool:
        return not queue.refusal_reason()

    await until(takes_again, what="a look at the disk")
    assert (await queue.append([record(1)])).duplicates == ()
    assert [found.id for found in await claimed(queue)] == ["id-0", "id-1"]
    await queue.close()


@pytest.mark.only_sqlite
async def test_what_waits_can_leave_a_full_disk(tmp_path: Path, clock: Clock) -> None:
    """On a full disk an append is refused while a settlement is still recorded, thanks to the ballast."""
    queue = open_queue(tmp_path, clock)
    await queue.append([record(0)])
    segments = await queue.claim(PIXEL, most=10)
    store, full = queue._store, iter([True])
    insert = store.tables.segments.insert_sealed

    def no_room(segments: Sequence[tuple[SealedSegment, Sequence[int]]]) -> None:
        if next(full, False):
            raise apsw.FullError
        insert(segments)

    store.tables.segments.insert_sealed = no_room  # type: ignore[method-assign]
    refused, settled = await asyncio.gather(
        queue.append([record(1)]),
        queue.settle(segments, Settlement(done=(segments[0].ref,), rows=(row(0),))),
        return_exceptions=True,
    )

    assert (type(refused), settled) == (QueueFullError, frozenset())
    assert [found.id for found in await listed(queue)] == ["id-0"]
    assert queue.stats().waiting == {}
    await queue.close()


@pytest.mark.only_sqlite
@pytest.mark.parametrize("limits", [QueueSettings(min_free_bytes=1 << 60), QueueSettings(max_bytes=1_048_576)])
async def test_a_queue_at_its_mark_refuses_and_says_why(tmp_path: Path, clock: Clock, limits: QueueSettings) -> None:
    """Below the limit of free disk, or above its size, the queue refuses appends, is not ready, and says why."""
    queue = open_queue(tmp_path, clock, limits=limits)
    number = 0
    while not queue.refusal_reason() and number < 10_000:
        await queue.append([record(number + step)._replace(payload=b"x" * 3000) for step in range(100)])
        await queue._writer.do(lambda: setattr(queue._store.housekeeping, "_looked_at", 0.0))
        number += 100
    with pytest.raises(QueueFullError, match=r"queue\.m"):
        await queue.append([record(number)])
    with pytest.raises(QueueFullError):
        await queue.ready()
    waiting, found = sum(queue.stats().waiting.values()), 0
    async with asyncio.timeout(60):
        while found < waiting:
            found += len(await claimed(queue, most=10**9))

    assert found == waiting
    await queue.close()


@pytest.mark.parametrize("bad", [record(1)._replace(id="\ud800"), record(1)._replace(worth="aaaa")])  # type: ignore[arg-type]
async def test_what_one_caller_brings_never_costs_its_neighbours(queue: WholeQueue, bad: Record) -> None:
    """A record for which no key can be made, or which cannot be written, fails alone in its group."""
    results = await asyncio.gather(
        queue.append([record(2)]), queue.append([bad]), queue.append([record(3)]), return_exceptions=True
    )

    assert [isinstance(result, QueueError) for result in results] == [False, True, False]
    assert [found.id for found in await claimed(queue)] == ["id-2", "id-3"]


@pytest.mark.only_sqlite
async def test_waiting_callers_share_commits(queue: LocalQueue) -> None:
    """Callers that wait at the same time share a commit."""
    commits: list[int] = []
    commit = queue._store.commit

    def counting(works: Sequence[Work]) -> list[object]:
        commits.append(sum(len(work.calls) for work in works if isinstance(work, Group)))
        return commit(works)

    queue._store.commit = counting  # type: ignore[method-assign]
    await asyncio.gather(*(queue.append([record(number)]) for number in range(400)))

    assert sum(commits) == 400
    assert len(commits) < 100


def look_at(directory: Path) -> tuple[bytes, set[int]]:
    files = list(directory.iterdir())
    return b"".join(file.read_bytes() for file in files), {file.stat().st_mode & 0o777 for file in files}


@pytest.mark.only_sqlite
async def test_nothing_rests_in_clear(tmp_path: Path, clock: Clock) -> None:
    """No payload is readable in the files, and only the owner may read them."""
    queue = open_queue(tmp_path, clock)
    await queue.append([record(1)])
    await dead_letter(queue, 2)
    await queue.close()
    content, modes = look_at(tmp_path)

    assert b"user_data" not in content
    assert b"Mozilla" not in content
    assert modes == {0o600}


@pytest.mark.only_sqlite
async def test_a_foreign_secret_is_refused_at_the_start(tmp_path: Path, clock: Clock) -> None:
    """A data_dir that no listed secret opens is refused; with its old secret listed it opens."""
    queue = open_queue(tmp_path, clock)
    await queue.append([record(1)])
    await queue.close()
    with pytest.raises(QueueBrokenError, match="not listed"):
        open_queue(tmp_path, clock, secret="another secret, long enough too")
    again = open_queue(tmp_path, clock, secret="another secret, long enough too", old=(SECRET,))

    assert [found.id for found in await claimed(again)] == ["id-1"]
    await again.close()


@pytest.mark.only_sqlite
async def test_an_old_secret_can_go_once_nothing_rests_under_it(tmp_path: Path, clock: Clock) -> None:
    """After a rotation the old secret is needed until the last event sealed with it has left."""
    queue = open_queue(tmp_path, clock)
    await queue.append([record(1)])
    await queue.close()
    rotated = "another secret, long enough too"
    await open_queue(tmp_path, clock, secret=rotated, old=(SECRET,)).close()
    with pytest.raises(QueueBrokenError, match=r"events sealed with a secret that is not listed"):
        open_queue(tmp_path, clock, secret=rotated)
    queue = open_queue(tmp_path, clock, secret=rotated, old=(SECRET,))
    segments = await queue.claim(PIXEL, most=10)
    await queue.settle(segments, Settlement(done=(segments[0].ref,)))
    await queue.append([record(2)])
    await queue.close()
    again = open_queue(tmp_path, clock, secret=rotated)

    assert [found.id for found in await claimed(again)] == ["id-2"]
    await again.close()


@pytest.mark.only_sqlite
async def test_a_file_that_is_no_database_is_refused_with_advice(tmp_path: Path, clock: Clock) -> None:
    """A damaged file stops the start and says what to do."""
    (tmp_path / "queue.db").write_bytes(b"this is no database" * 1000)

    with pytest.raises(QueueBrokenError, match=r"damaged.*restore it or move it away"):
        open_queue(tmp_path, clock)


@pytest.mark.only_sqlite
async def test_a_newer_layout_is_refused(tmp_path: Path, clock: Clock) -> None:
    """A version never opens a file of a newer layout."""
    queue = open_queue(tmp_path, clock)
    await queue._writer.do(lambda: queue._store.tables.db.pragma("user_version", 99))
    await queue.close()

    with pytest.raises(QueueBrokenError, match="newer version"):
        open_queue(tmp_path, clock)


@pytest.mark.only_sqlite
async def test_a_file_of_the_first_layout_is_brought_to_this_one(tmp_path: Path, clock: Clock) -> None:
    """Events and rows of layout 1 are delivered and listed, and new rows are written next to them."""
    queue = open_queue(tmp_path, clock)
    await queue.append([record(1)])
    await queue.settle((), Settlement(rows=(row(1),)))
    await queue.close()
    write_as_layout_1(tmp_path / "queue.db", record(1), day=NOON // DAY_MS)

    again = open_queue(tmp_path, clock)
    found = row(2)._replace(findings=("value:unusable", "em:unusable"))
    await again.settle((), Settlement(rows=(found,)))

    assert await claimed(again) == [record(1)]
    assert await listed(again) == [found, row(1)]
    await again.close()


@pytest.mark.only_sqlite
async def test_numbers_of_dead_letters_go_on_in_a_file_of_an_older_layout(tmp_path: Path, clock: Clock) -> None:
    """Dead letters of an older layout keep their numbers, and new ones get higher numbers."""
    queue = open_queue(tmp_path, clock)
    numbers = [await dead_letter(queue, number) for number in (1, 2)]
    await queue.settle((), Settlement(rows=(row(1),)))
    await queue.close()
    write_as_layout_1(tmp_path / "queue.db", record(1), day=NOON // DAY_MS)
    again = open_queue(tmp_path, clock)
    await again.discard(numbers[1:])
    new = await dead_letter(again, 3)
    await again.close()

    assert new > max(numbers)


@pytest.mark.only_sqlite
async def test_a_file_of_the_third_layout_is_brought_to_this_one(tmp_path: Path, clock: Clock) -> None:
    """Waiting events are delivered, count as arrived at the upgrade, and expire by the time they happened."""
    queue = open_queue(tmp_path, clock)
    old, young = record(1, time_s=NOON // 1000 - 60), record(2, time_s=NOON // 1000)
    await queue.append([old, young])
    await queue.close()
    with closing(apsw.Connection(str(tmp_path / "queue.db"))) as db:
        write_as_layout_3(db)

    clock.now += HOUR
    again = open_queue(tmp_path, clock)
    assert await again.oldest([PIXEL]) == {PIXEL: Oldest(clock.now, None)}
    assert await again.expire(before_s=NOON // 1000 - 3600) == ({}, False)
    assert await again.expire(before_s=NOON // 1000) == ({PIXEL: 1}, False)
    assert await claimed(again) == [young]
    await again.close()


@pytest.mark.only_sqlite
async def test_a_file_of_the_fifth_layout_is_brought_to_this_one(tmp_path: Path, clock: Clock) -> None:
    """Waiting events can be claimed at once, and lanes have no stored state."""
    queue = open_queue(tmp_path, clock)
    await queue.append([record(1)])
    await queue.keep_lane_state(PIXEL, PAUSED)
    await queue.close()
    with closing(apsw.Connection(str(tmp_path / "queue.db"))) as db:
        write_as_layout_5(db)

    again = open_queue(tmp_path, clock)
    assert await again.lane_state(PIXEL) == DeliveryState()
    await again.append([record(2)], not_before=NOON + 1)
    assert [found.id for found in await claimed(again)] == ["id-1"]
    await again.close()


@pytest.mark.only_sqlite
async def test_what_the_version_before_left_waiting_is_delivered(tmp_path: Path, clock: Clock) -> None:
    """A segment with whole payloads is read next to those whose records share parts."""
    queue = open_queue(tmp_path, clock)
    await queue.append([record(1)])
    await queue.close()
    head = orjson.dumps(
        ["PageView", "id-1", record(1).time_s, b"abcd".hex(), BrowserCopy.FIRED, "", ["em:unusable"], ""]
    )
    packed = struct.pack(">II", len(head), len(record(1).payload)) + head + record(1).payload
    with closing(apsw.Connection(str(tmp_path / "queue.db"))) as db:
        db.execute("UPDATE segment SET sealed=?", (Sealer(SECRET).seal(packed, PIXEL.encode()),))

    again = open_queue(tmp_path, clock)
    await again.append([halves(2), halves(3)])

    found = await claimed(again)
    assert sorted(found, key=lambda row: row.id) == [
        record(1)._replace(findings=("em:unusable",)),
        halves(2),
        halves(3),
    ]
    await again.close()


def halves(number: int) -> Record:
    """Return a record whose payload has an own and a shared part."""
    own = orjson.dumps({"event_name": "PageView", "event_id": f"id-{number}"})
    return record(number)._replace(payload=own, shared=b'{"user_data":{"fbp":"fb.1.1.1"}}')


async def test_a_claim_is_bounded_by_what_graph_will_get(queue: WholeQueue) -> None:
    """Records that share most of their payload are small when stored, and still make no request that is too large."""
    part = b'{"user_data":{"fbp":"%b"}}' % (b"x" * 16_000)
    for start in range(0, 1000, 100):
        await queue.append([halves(start + number)._replace(shared=part) for number in range(100)])

    found = await claimed(queue)
    assert 2 << 20 <= sum(len(record.whole) for record in found) <= 5 << 20


async def test_a_dead_letter_has_the_whole_payload(queue: WholeQueue) -> None:
    """The letter shows the whole payload that Graph refused; replayed, the record is as it was."""
    refused, taken = (half._replace(time_s=NOON // 1000) for half in (halves(1), halves(2)))
    await queue.append([refused, taken])
    segments = await queue.claim(PIXEL, most=1000)
    letter = NewDeadLetter(refused, "rejected", GraphError(), 1)
    await queue.settle(segments, Settlement(done=tuple(segment.ref for segment in segments), dead=(letter,)))
    (found,) = await queue.dead_letters(Filter())
    await queue.replay([found.id], not_before_s=0)

    assert orjson.loads(found.payload) == orjson.loads(refused.payload) | orjson.loads(refused.shared)
    assert await claimed(queue) == [refused]


@pytest.mark.only_sqlite
async def test_a_damaged_segment_holds_up_no_other(queue: LocalQueue, caplog: pytest.LogCaptureFixture) -> None:
    """A segment that cannot be decrypted is kept and logged, and the rest is delivered."""
    await queue.append([record(1)])
    await queue._writer.do(lambda: queue._store.tables.db.execute("UPDATE segment SET sealed=x'01'"))
    await queue.append([record(2)])

    assert [found.id for found in await claimed(queue)] == ["id-2"]
    assert "was damaged on disk" in caplog.text


async def test_a_closed_queue_refuses(opener: Opener) -> None:
    """After closing, an append fails at once instead of waiting for ever."""
    queue = await opener()
    await queue.close()

    with pytest.raises(QueueError):
        await queue.append([record(1)])


@pytest.mark.only_sqlite
def test_a_data_dir_has_one_owner(tmp_path: Path) -> None:
    """A second process is refused with advice, and admitted once the first has gone."""
    first = DataDirLock(tmp_path)
    with pytest.raises(DataDirBusyError, match="stop it first"):
        DataDirLock(tmp_path)
    first.close()
    DataDirLock(tmp_path).close()
