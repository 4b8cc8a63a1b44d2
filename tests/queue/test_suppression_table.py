"""Suppressed people: nothing about them is accepted, sent or kept, until the suppression is lifted or expires."""

import os
import resource
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import apsw
import pytest
import queues
from clock import NOON, Clock
from conftest import Say
from old_layouts import write_as_layout_3
from queues import Opener, rows_of, tidy
from support import PIXEL, record

from proxy.config.schema import RetentionSettings
from proxy.model.event import DropReason
from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.model.suppression import SuppressionKind
from proxy.model.units import DAY_MS
from proxy.model.verdict import GraphError
from proxy.queue.contract import (
    Erased,
    Filter,
    NewDeadLetter,
    QueueError,
    Segment,
    Settlement,
    Stats,
    Suppression,
    WholeQueue,
)
from proxy.queue.sqlite.engine import LocalQueue
from proxy.queue.sqlite.layout import SCHEMA_VERSION

pytestmark = pytest.mark.both_engines

OPT_OUT, WITHDRAWAL, ERASURE = SuppressionKind
ANNA, BERT, BROWSER = (letter * 16 for letter in (b"a", b"b", b"c"))


def open_queue(directory: Path, clock: Clock) -> LocalQueue:
    return queues.open_queue(directory, clock, RetentionSettings(opted_out_days=30, erased_days=7))


@pytest.fixture(name="queue")
async def _queue(opener: Opener) -> WholeQueue:
    return await opener(RetentionSettings(opted_out_days=30, erased_days=7))


def about(number: int, *person_digests: bytes, at: int = NOON) -> Record:
    return record(number, time_s=at // 1000)._replace(person_digests=person_digests)


def ids(segments: Sequence[Segment]) -> list[str]:
    return [record.id for segment in segments for record in segment.records]


async def claimed(queue: WholeQueue) -> list[str]:
    return ids(await queue.claim(PIXEL, most=1000))


async def taken(queue: WholeQueue, *records: Record) -> list[tuple[str, DropReason]]:
    """Append records; return id and reason of those refused."""
    return [(record.id, reason) for record, reason in (await queue.append(records)).refused]


async def rows(queue: WholeQueue) -> list[LedgerRow]:
    return [row async for row in queue.events(Filter())]


async def bury(queue: WholeQueue, segments: Sequence[Segment]) -> None:
    letters = [NewDeadLetter(record, "rejected", GraphError(), 1) for segment in segments for record in segment.records]
    await queue.settle(segments, Settlement(done=tuple(segment.ref for segment in segments), dead=tuple(letters)))


async def test_who_opted_out_is_refused_and_nobody_else(queue: WholeQueue) -> None:
    """Events with any digest of a suppressed person are refused; the others of the request are stored."""
    await queue.suppress([ANNA, BROWSER], OPT_OUT, NOON)

    assert await taken(queue, about(1, BERT, ANNA), about(2, BERT), about(3, BROWSER), about(4)) == [
        ("id-1", DropReason.OPTED_OUT),
        ("id-3", DropReason.OPTED_OUT),
    ]
    assert await claimed(queue) == ["id-2", "id-4"]


@pytest.mark.only_sqlite
async def test_people_who_share_a_place_of_the_sieve_are_told_apart(queue: LocalQueue) -> None:
    """The sieve may report a person who is not suppressed; the table then decides."""
    first, second, third = (b"xyz" + bytes([number]) * 13 for number in (1, 2, 3))
    may_hold = queue._store.tables.suppressions.may_hold
    await queue.suppress([first], OPT_OUT, NOON)
    assert (may_hold(first), may_hold(second)) == (True, False)
    await queue.suppress([second], OPT_OUT, NOON)
    assert (may_hold(first), may_hold(second), may_hold(third)) == (True, True, True)

    assert [event_id for event_id, _ in await taken(queue, about(1, first), about(2, second), about(3, third))] == [
        "id-1",
        "id-2",
    ]
    assert await claimed(queue) == ["id-3"]


async def test_what_waits_is_dropped_by_an_opt_out(queue: WholeQueue) -> None:
    """Waiting events of the person are dropped with a ledger row, and the rest is delivered."""
    await queue.append([about(1, ANNA), about(2, BERT)])
    await queue.append([about(3, ANNA)])
    await queue.suppress([ANNA], OPT_OUT, NOON)

    assert await claimed(queue) == ["id-2"]
    assert queue.stats() == Stats({PIXEL: 1}, 0, {DropReason.OPTED_OUT: 2}, suppressions={OPT_OUT: 1})
    assert {(row.id, row.status, row.reason) for row in await rows(queue)} == {
        ("id-1", Status.DROPPED, DropReason.OPTED_OUT),
        ("id-3", Status.DROPPED, DropReason.OPTED_OUT),
    }


async def test_a_marked_segment_hides_none_behind_it(queue: WholeQueue) -> None:
    """A claim skips segments of which nothing is left, and returns the first that has events."""
    for number in range(5):
        await queue.append([about(number, ANNA)])
    await queue.append([about(9, BERT)])
    await queue.suppress([ANNA], OPT_OUT, NOON)

    assert ids(await queue.claim(PIXEL, most=1)) == ["id-9"]
    assert queue.stats().waiting == {PIXEL: 1}


async def test_what_was_under_way_does_not_come_back(queue: WholeQueue) -> None:
    """An event in delivery at the time of the opt-out is neither tried again nor kept as a dead letter."""
    await queue.append([about(1, ANNA)])
    tried = await queue.claim(PIXEL, most=1)
    await queue.append([about(2, ANNA)])
    refused = await queue.claim(PIXEL, most=1)
    await queue.suppress([ANNA], OPT_OUT, NOON)
    await queue.settle(tried, Settlement(tried=(tried[0].ref,)))
    await bury(queue, refused)

    assert await claimed(queue) == []
    assert await queue.dead_letters(Filter()) == []
    assert (queue.stats().waiting, queue.stats().dead) == ({}, 0)


async def test_a_replay_is_held_against_the_marks(queue: WholeQueue) -> None:
    """A dead letter that is replayed after its person opted out is not delivered."""
    await queue.append([about(1, ANNA)])
    await bury(queue, await queue.claim(PIXEL, most=1))
    await queue.suppress([ANNA], OPT_OUT, NOON)
    (letter,) = await queue.dead_letters(Filter())

    assert await queue.replay([letter.id], not_before_s=0) == 1
    assert await claimed(queue) == []


# Kinds of suppression, kinds that are lifted, kinds that ended; why the person's events are still refused.
LIFTS: list[tuple[list[SuppressionKind], list[SuppressionKind], list[SuppressionKind], list[DropReason]]] = [
    ([OPT_OUT], [OPT_OUT], [OPT_OUT], []),
    ([OPT_OUT], [WITHDRAWAL], [], [DropReason.OPTED_OUT]),
    ([WITHDRAWAL], [WITHDRAWAL], [WITHDRAWAL], []),
    ([WITHDRAWAL], [OPT_OUT], [], [DropReason.NO_CONSENT]),
    ([OPT_OUT, WITHDRAWAL], [WITHDRAWAL], [WITHDRAWAL], [DropReason.OPTED_OUT]),
    ([OPT_OUT, WITHDRAWAL], [OPT_OUT], [OPT_OUT], [DropReason.NO_CONSENT]),
    ([ERASURE], [OPT_OUT, WITHDRAWAL], [], [DropReason.ERASED]),
    ([ERASURE, OPT_OUT], list(SuppressionKind), [OPT_OUT, ERASURE], []),
    ([], list(SuppressionKind), [], []),
]


@pytest.mark.parametrize(("kinds", "lifted", "ended", "refused"), LIFTS)
async def test_each_kind_is_lifted_by_itself(
    queue: WholeQueue,
    kinds: list[SuppressionKind],
    lifted: list[SuppressionKind],
    ended: list[SuppressionKind],
    refused: list[DropReason],
) -> None:
    """Lifting a withdrawal ends no opt-out, lifting an opt-out ends no withdrawal, and neither ends an erasure."""
    for kind in kinds:
        await queue.suppress([ANNA], kind, NOON)

    assert await queue.suppressed([BERT, ANNA]) == set(kinds)
    assert await queue.lift([ANNA, BERT], lifted, NOON + 1) == ended
    assert [reason for _, reason in await taken(queue, about(1, ANNA))] == refused
    assert queue.stats().suppressions == {kind: 1 for kind in kinds if kind not in ended}


async def test_no_record_lifts_a_suppression(queue: WholeQueue) -> None:
    """Another person's event that also claims the suppressed person is refused and changes nothing."""
    await queue.suppress([ANNA], OPT_OUT, NOON)

    assert await taken(queue, about(1, BERT, ANNA, at=NOON + 9000)) == [("id-1", DropReason.OPTED_OUT)]
    assert await queue.suppressed([ANNA]) == {OPT_OUT}


@pytest.mark.parametrize(("at", "left"), [(NOON - 1, True), (NOON, False), (NOON + 1, False)])
async def test_the_latest_word_counts(queue: WholeQueue, at: int, *, left: bool) -> None:
    """A lift ends only suppressions up to its own time; an older one that comes late does not replace a newer one."""
    await queue.suppress([ANNA], OPT_OUT, NOON)
    await queue.suppress([ANNA], OPT_OUT, NOON - 5000)
    await queue.lift([ANNA], [OPT_OUT], at)

    assert bool(await taken(queue, about(1, ANNA))) is left


async def test_the_list_shows_kinds_and_digests(queue: WholeQueue) -> None:
    """The list is newest first, of one kind or all, limited, or in the order of digests behind a given one."""
    await queue.suppress([ANNA], OPT_OUT, NOON)
    await queue.suppress([BERT], WITHDRAWAL, NOON + 1)
    await queue.erase([BROWSER], NOON + 2)
    everybody = [
        Suppression(BROWSER, ERASURE, NOON + 2),
        Suppression(BERT, WITHDRAWAL, NOON + 1),
        Suppression(ANNA, OPT_OUT, NOON),
    ]

    assert await queue.suppressions() == everybody
    assert await queue.suppressions(limit=2) == everybody[:2]
    assert await queue.suppressions(OPT_OUT) == everybody[2:]
    in_order = sorted(everybody, key=lambda each: each.digest)
    assert await queue.suppressions(after=b"") == in_order
    assert await queue.suppressions(after=in_order[0].digest) == in_order[1:]
    assert await queue.suppressions(OPT_OUT, after=b"") == [each for each in in_order if each.kind == OPT_OUT]


@pytest.mark.only_sqlite
async def test_a_failed_commit_suppresses_and_counts_nobody(queue: LocalQueue) -> None:
    """A rolled-back suppression is neither in the table nor in the counts."""

    def fail() -> None:
        queue._store.tables.suppressions.add([ANNA], OPT_OUT, NOON)
        raise KeyError

    with pytest.raises(QueueError):
        await queue._writer.do(fail)

    assert await queue.suppressed([ANNA]) == set()
    assert queue.stats().suppressions == {}


@pytest.mark.only_sqlite
async def test_visitors_who_do_not_exist_fill_no_disk(queue: LocalQueue, clock: Clock) -> None:
    """Above a number, the oldest opt-outs and withdrawals are forgotten, kind by kind; erasures stay."""

    def forget_beyond(most: int) -> None:
        while queue._store.tables.suppressions.forget(clock(), RetentionSettings(), most):
            pass

    for number in range(10):
        await queue.suppress([bytes([number]) * 16], OPT_OUT, NOON + number)
    await queue.suppress([BERT], WITHDRAWAL, NOON - 1)
    await queue.erase([ANNA], NOON - 1)
    await queue._writer.do(lambda: forget_beyond(4))

    left = [suppression.digest[0] for suppression in await queue.suppressions(OPT_OUT)]
    assert left == [9, 8, 7, 6]
    assert queue.stats().suppressions == {OPT_OUT: 4, WITHDRAWAL: 1, ERASURE: 1}


@pytest.mark.only_sqlite
async def test_marks_of_the_layout_before_still_hold(tmp_path: Path, clock: Clock) -> None:
    """Suppressions of a version without withdrawals still count, and can be lifted, after the upgrade."""
    await open_queue(tmp_path, clock).close()
    with closing(apsw.Connection(str(tmp_path / "queue.db"))) as db:
        db.execute("INSERT INTO mark VALUES(?, 'opted_out', ?), (?, 'erased', ?)", (ANNA, NOON, BERT, NOON))
        write_as_layout_3(db)
    queue = open_queue(tmp_path, clock)

    assert await taken(queue, about(1, ANNA), about(2, BERT)) == [
        ("id-1", DropReason.OPTED_OUT),
        ("id-2", DropReason.ERASED),
    ]
    assert await queue.lift([ANNA], [OPT_OUT], NOON) == [OPT_OUT]
    assert await taken(queue, about(3, ANNA)) == []
    await queue.close()
    with closing(apsw.Connection(str(tmp_path / "queue.db"))) as db:
        assert db.pragma("user_version") == SCHEMA_VERSION


async def test_an_erasure_removes_what_there_is(queue: WholeQueue) -> None:
    """Waiting events and dead letters of the person are removed and counted; those of others stay."""
    await queue.append([about(number, ANNA if number % 3 else BERT) for number in range(30)])
    await bury(queue, await queue.claim(PIXEL, most=1000))
    for number in range(100, 130):
        await queue.append([about(number, ANNA), about(number + 100, BERT)])

    assert await queue.erase([ANNA, BROWSER], NOON) == Erased(waiting=30, dead=20)
    assert await claimed(queue) == [f"id-{number}" for number in range(200, 230)]
    assert len(await queue.dead_letters(Filter())) == queue.stats().dead == 10
    assert queue.stats().waiting == {PIXEL: 30}
    assert await queue.erase([ANNA, BROWSER], NOON) == Erased()


@pytest.mark.only_sqlite
async def test_an_erasure_does_not_touch_what_is_under_way(queue: WholeQueue) -> None:
    """A claimed event stays with its delivery; when it is released, it is dropped as erased."""
    await queue.append([about(1, ANNA)])
    claim = await queue.claim(PIXEL, most=1)

    assert await queue.erase([ANNA], NOON) == Erased()
    await queue.release(claim)
    assert await claimed(queue) == []
    assert [row.reason for row in await rows(queue)] == [DropReason.ERASED]


@pytest.mark.parametrize(("happened", "refused"), [(NOON - 1000, True), (NOON, True), (NOON + 1000, False)])
async def test_an_erased_person_may_come_back(queue: WholeQueue, happened: int, *, refused: bool) -> None:
    """An event from before the erasure is refused however late it comes; a later one is accepted."""
    await queue.erase([ANNA], NOON)

    assert await taken(queue, about(1, ANNA, at=happened)) == [("id-1", DropReason.ERASED)] * refused


@pytest.mark.only_sqlite
async def test_marks_outlive_a_restart(tmp_path: Path, clock: Clock) -> None:
    """After a restart a suppression still counts, also for events that waited before."""
    first = open_queue(tmp_path, clock)
    await first.append([about(1, ANNA), about(2, BERT)])
    await first.suppress([ANNA], OPT_OUT, NOON)
    await first.close()
    again = open_queue(tmp_path, clock)

    assert await taken(again, about(3, ANNA)) == [("id-3", DropReason.OPTED_OUT)]
    assert await claimed(again) == ["id-2"]
    await again.close()


async def test_a_kind_of_a_newer_version_binds_like_an_opt_out(opener: Opener) -> None:
    """A suppression of a kind unknown to this version refuses events, is counted and exported, and stops nothing."""
    newer = await opener()
    await newer.append([about(1, ANNA), about(2, BERT)])
    await newer.suppress([ANNA], WITHDRAWAL, NOON)
    await newer.suppress([BROWSER], OPT_OUT, NOON)
    await rows_of(newer, "UPDATE mark SET kind = 'restricted' WHERE kind = 'withdrawn'")
    await newer.close()
    older = await opener()

    assert await taken(older, about(3, ANNA)) == [("id-3", DropReason.OPTED_OUT)]
    assert await claimed(older) == ["id-2"]
    assert await older.suppressed([ANNA]) == {OPT_OUT}
    exported = await older.suppressions(after=b"")
    assert {(each.digest, each.kind) for each in exported} == {(ANNA, OPT_OUT), (BROWSER, OPT_OUT)}
    await tidy(older)
    assert older.stats().suppressions == {OPT_OUT: 2}


@pytest.mark.only_sqlite
async def test_marks_are_forgotten_in_time(tmp_path: Path, clock: Clock) -> None:
    """Each kind of suppression is forgotten after its own number of days."""
    person_digests = {"early": [b"e" * 16], "late": [b"l" * 16]}
    queue = open_queue(tmp_path, clock)
    await queue.suppress(person_digests["early"], OPT_OUT, NOON - 31 * DAY_MS)
    await queue.suppress(person_digests["late"], OPT_OUT, NOON - 29 * DAY_MS)
    await queue.erase(person_digests["early"], NOON - 8 * DAY_MS)
    await queue.erase(person_digests["late"], NOON - 6 * DAY_MS)
    await queue.close()
    await open_queue(tmp_path, clock).close()  # which tidies once

    with closing(apsw.Connection(str(tmp_path / "queue.db"))) as db:
        left = db.execute("SELECT digest, kind FROM mark ORDER BY kind").fetchall()
    assert left == [(b"l" * 16, "erased"), (b"l" * 16, "opted_out")]


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


class Work(Counter[str]):
    """Steps of SQLite's virtual machine, in hundreds, by the database's directory."""

    def watch(self, connection: apsw.Connection) -> None:
        """Count the steps of a connection that was just opened."""
        name = Path(connection.filename).parent.name

        def step() -> bool:
            self[name] += 1
            return False  # go on

        connection.set_progress_handler(step, 100)


async def _append_many(queue: WholeQueue) -> None:
    """Append 3000 records in groups of ten, with two people each."""
    for batch in range(0, 3000, 10):
        await queue.append([about(batch + number, os.urandom(16), os.urandom(16)) for number in range(10)])


def _suppress_a_million(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as db:
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) "
            "INSERT INTO mark SELECT randomblob(16) AS digest, 'opted_out', ? FROM n ORDER BY digest",
            (NOON,),
        )


@pytest.mark.only_sqlite
@pytest.mark.long
async def test_a_million_suppressions(tmp_path: Path, clock: Clock, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million suppressions take less than 100 MB, and an append costs less than 5 % more."""
    for name in ("bare", "full"):
        (tmp_path / name).mkdir()
        await open_queue(tmp_path / name, clock).close()
    _suppress_a_million(tmp_path / "full" / "queue.db")
    work = Work()
    monkeypatch.setattr(apsw, "connection_hooks", [work.watch])
    before = _resident_mb()
    both = [open_queue(tmp_path / name, clock) for name in ("bare", "full")]
    grown = _resident_mb() - before
    work.clear()
    for queue in both:
        await _append_many(queue)
    steps = Counter(work)
    for queue in both:
        await queue.close()
    ratio = steps["full"] / steps["bare"]
    say(f"a million suppressions: {grown:.0f} MB more, appends take {ratio:.3f} x the steps of SQLite")

    assert grown < 100
    assert steps["bare"] > 1000
    assert ratio < 1.05
