"""A run through the contract of a queue: every method, with most kinds of arguments."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from clock import NOON, Clock
from sighted import key, left, order, told
from support import PIXEL, record, server_record, until

from proxy.model.event import BrowserCopy
from proxy.model.join import JoinKind, Twin
from proxy.model.ledger import BrowserCopyUpdate, LedgerRow, Status
from proxy.model.order import order_key
from proxy.model.record import Record
from proxy.model.rollup import RollupQuery, Tally
from proxy.model.rollup_sums import HourSpan, PeriodQuery
from proxy.model.server_request import RequestFields
from proxy.model.suppression import SuppressionKind
from proxy.model.units import DAY_MS, HOUR_MS
from proxy.model.verdict import GraphError
from proxy.queue.contract import (
    DeliveryState,
    Filter,
    NewDeadLetter,
    Remainder,
    Segment,
    Settlement,
    WholeQueue,
)

OPTED_OUT, ERASED, BUYER = (letter * 16 for letter in (b"o", b"e", b"u"))
_DAY_S = DAY_MS // 1000
_ERROR = GraphError(100, 2804017, "Graph's words", "trace")


async def everything(queue: WholeQueue, clock: Clock) -> None:
    """Call every method of a queue, with arguments that make it take its different ways."""
    await _stores(queue, clock)
    await _suppresses(queue)
    await _delivers(queue, clock)
    await _joins(queue, clock)
    await _keeps_books(queue, clock)


def _records(*numbers: int, **facts: Any) -> list[Record]:
    return [record(number, time_s=NOON // 1000)._replace(**facts) for number in numbers]


async def _stores(queue: WholeQueue, clock: Clock) -> None:
    """Store fresh events and repeats of every kind."""
    await queue.ready()
    timed = [each._replace(id=f"{NOON - 40}{each.id}") for each in _records(1, 2)]
    late = [each._replace(id=f"{NOON - 20 * 3_600_000}{each.id}") for each in _records(3, 4)]
    for brought in (_records(*range(1, 40)), timed, late, [*_records(1), *late], _records(1, 2)):
        await queue.append(brought)
    await queue.append(_records(1, visitor=b"else"))
    for worth in (b"1999", b"0001"):
        await queue.append(_records(50, name="Purchase", worth=worth, visitor=worth))
    await queue.append([server_record(1, time_s=NOON // 1000), server_record(70, time_s=NOON // 1000)])
    await queue.append(_records(60), not_before=clock() + 60_000)
    ordered = order_key("shop", "Purchase", "1001")
    for number in (80, 81):
        await queue.append([server_record(number, time_s=NOON // 1000)._replace(order=ordered, name="Purchase")])
    assert await queue.known_server_orders(PIXEL, [ordered])
    assert queue.refusal_reason() == ""
    assert queue.fullness() < 1


async def _suppresses(queue: WholeQueue) -> None:
    """Suppress people, have their events refused, and lift one suppression."""
    await queue.append(_records(100, person_digests=(OPTED_OUT,)), sightings=[left("o", order(7))])
    await queue.suppress([OPTED_OUT], SuppressionKind.OPT_OUT, NOON)
    await queue.suppress([BUYER], SuppressionKind.WITHDRAWAL, NOON)
    await queue.append([*_records(101, person_digests=(OPTED_OUT,)), *_records(102)], sightings=[left("o", order(8))])
    assert await queue.suppressed([OPTED_OUT]) == {SuppressionKind.OPT_OUT}
    assert await queue.lift([BUYER], [SuppressionKind.WITHDRAWAL], NOON + 1) == [SuppressionKind.WITHDRAWAL]
    assert await queue.suppressions()
    assert await queue.suppressions(SuppressionKind.OPT_OUT, limit=1)


async def _delivers(queue: WholeQueue, clock: Clock) -> None:
    """Let attempts end in every way."""
    await queue.oldest([PIXEL])
    await queue.release(await _claimed(queue, newest=True))
    segments = await _claimed(queue)
    await queue.settle(segments, Settlement(tried=tuple(each.ref for each in segments), struck=True))
    (one, *others) = await _claimed(queue)
    await queue.settle([one, *others], Settlement(suspects=tuple((each.ref, 10) for each in (one, *others))))
    suspects = await queue.claim(PIXEL, most=1000, suspect=True)
    await queue.settle(suspects, _partial(suspects))
    await queue.settle(suspects, _partial(suspects))
    # Names and kinds of events are new at first, then found in tables, then known from memory.
    for start in (200, 207, 214):
        await queue.append(_records(*range(start, start + 6)))
        rest = await _claimed(queue)
        rows = tuple(_row(each) for segment in rest for each in segment.records)
        await queue.settle(rest, Settlement(done=tuple(each.ref for each in rest), rows=rows))
    state = DeliveryState("token", 3, NOON + 1000, "paused", _ERROR)
    await queue.keep_lane_state(PIXEL, state)
    assert await queue.lane_state(PIXEL) == state
    await queue.keep_lane_state(PIXEL, DeliveryState())
    await queue.append([each._replace(time_s=NOON // 1000 - 8 * _DAY_S) for each in _records(230, 231)])
    await queue.expire(before_s=NOON // 1000 - 7 * _DAY_S)
    fields = RequestFields(test_event_code="TEST1")
    await queue.append([server_record(240, fields, time_s=NOON // 1000), *_records(241)])
    for _ in range(3):
        await queue.release(await queue.claim(PIXEL, most=1000))
    clock.now += 61_000
    await queue.release(await queue.claim(PIXEL, most=1000))
    queue.stats()


async def _claimed(queue: WholeQueue, *, newest: bool = False) -> Sequence[Segment]:
    return await queue.claim(PIXEL, most=1000, newest=newest)


def _partial(segments: Sequence[Segment]) -> Settlement:
    """Return the settlement of an attempt after which some events are delivered, some wait, and some are dead."""
    records = [each for segment in segments for each in segment.records]
    delivered, waiting, dead = records[::3], records[1::3], records[2::3]
    return Settlement(
        done=tuple(segment.ref for segment in segments),
        remainders=(Remainder(PIXEL, 1, 0, tuple(waiting)),) if waiting else (),
        dead=tuple(NewDeadLetter(each, "rejected", _ERROR, 2) for each in dead),
        rows=tuple(_row(each) for each in delivered),
    )


def _row(each: Record) -> LedgerRow:
    event = (NOON, each.pixel, each.name, each.id, each.time_s, Status.DELIVERED, "", each.browser_copy)
    return LedgerRow(*event, "trace", 1, (), each.visitor)


async def _joins(queue: WholeQueue, clock: Clock) -> None:
    """Let servers' events find a sighting, a refusal or nothing, and let pages' events wait for their copies."""
    numbers = itertools.count(300)
    known = (order(1), key(JoinKind.EMAIL, "a@shop"), key(JoinKind.BROWSER, "fb.1"))
    await queue.append(_records(next(numbers)), sightings=[left("anna", *known), left("bert", order(2))])
    await queue.append([], sightings=[left("carl", order(3), forbidden="gpc")])
    for keys in ((order(1),), (order(3),), (order(4),), known[1:]):
        await queue.append([told(*keys, number=next(numbers))])
    await queue.append(list(_twins(numbers, clock())))
    await queue.append([told(order(5), number=next(numbers), order=order_key("shop", "Purchase", "5"))])
    await queue.claim(PIXEL, most=1000)
    clock.now += 3_600_000
    segments = await queue.claim(PIXEL, most=1000)
    await queue.settle(segments, _partial(segments)) if segments else None


def _twins(numbers: Iterator[int], now: int) -> Iterator[Record]:
    ways: tuple[tuple[Literal["", "send", "drop"], str], ...] = (("", "5"), ("drop", "6"), ("send", "7"))
    for unpaid, number in ways:
        orders = order_key("shop", "Purchase", number)
        (made,) = _records(next(numbers), name="Purchase", not_before=now + 1000)
        yield made._replace(pending=Twin(orders, unpaid))


async def _keeps_books(queue: WholeQueue, clock: Clock) -> None:
    """Note rows and updates; read, replay, discard and erase."""
    update = BrowserCopyUpdate("PageView", "id-1", BrowserCopy.BLOCKED)
    queue.note([_row(each) for each in _records(1, 2)], [update], [PIXEL], [b"abcd", b""])
    queue.note((), [update], [PIXEL], [b"nobo"])
    queue.note([_row(_records(3)[0])._replace(at=NOON - DAY_MS)])
    await queue.ready()
    for wanted in (
        Filter(),
        Filter(id="id-1"),
        Filter(pixel=PIXEL, name="PageView", status=Status.DELIVERED, reason="x", action_source="website"),
        Filter(since=0),
        Filter(since=1, id="id-1"),
        Filter(ids=("id-1",), browser_copy="server", since_ms=NOON - DAY_MS, until_ms=NOON + DAY_MS),
        Filter(status=Status.DEAD, site="shop", browser_copy="fired", below=f"{NOON}.{NOON * 1000}"),
    ):
        _ = [row async for row in queue.events(wanted)]
        await queue.event_page(wanted)
        await queue.waiting_events(wanted)
    hour = NOON // HOUR_MS
    for by_day in (False, True):
        rollups = RollupQuery(hour - 48, hour + 1, "shop", PIXEL, "PageView", by_day=by_day)
        await queue.rollups(rollups)
        await queue.event_counts(rollups)
    for texts in ((), ("shop", PIXEL, "PageView")):
        buckets = tuple(HourSpan(each, each + 24) for each in range(hour - 48, hour + 24, 24))
        await queue.period_sums(PeriodQuery(buckets, HourSpan(hour - 96, hour - 48), "Purchase", *texts))
    for _ in range(2):
        await queue.add_tallies([Tally(hour, "origin", "https://a.example", 1)])
    await queue.tallies(hour - 24, hour + 1)
    letters = await queue.dead_letters(Filter(pixel=PIXEL, name="PageView", id="", reason="rejected", limit=5))
    await queue.dead_letters(Filter(before=1 << 60, id="id-1"))
    ids = [letter.id for letter in letters]
    dead = [_row(each) for each in _records(1)]
    changes: dict[str, Any] = {"id": letters[0].event_id, "status": Status.DEAD, "browser_copy": BrowserCopy.PENDING}
    queue.note([each._replace(**changes) for each in dead])
    queue.note((), [BrowserCopyUpdate("PageView", letters[0].event_id, BrowserCopy.BLOCKED)], [PIXEL], [b"abcd"])
    await until(lambda: _is_moved(queue), what="the news of a dead letter's browser copy")
    await queue.replay(ids[:1], not_before_s=NOON // 1000 - 7 * _DAY_S)
    await queue.discard(ids[1:2])
    await queue.append(_records(400, 401, person_digests=(ERASED,)))
    await queue.erase([ERASED], clock())
    queue.stats()


async def _is_moved(queue: WholeQueue) -> bool:
    page = await queue.event_page(Filter(status=Status.DEAD, browser_copy="blocked"))
    return bool(page.rows)
