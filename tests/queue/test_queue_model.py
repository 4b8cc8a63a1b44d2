"""Under random operations a queue agrees with a model: nothing acknowledged is lost, and every event ends once.

The operations are appends, repeats, claims and settlements of all kinds, suppressions, crashes, and lost requests and
answers; on PostgreSQL also a second proxy that stores, and dead leaders that go on and settle late.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
from clock import NOON
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from model_engines import LOSSES, ModelEngine, PostgresEngine, SqliteEngine
from polling import until
from postgres_server import Cluster
from support import record

from proxy.model.event import DropReason
from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.model.rollup import RollupQuery
from proxy.model.suppression import SuppressionKind
from proxy.model.verdict import GraphError
from proxy.queue.contract import Filter, NewDeadLetter, Remainder, Segment, Settlement
from proxy.queue.rollup_counts import sums_by_key

ENDED = {Status.DELIVERED, Status.DEAD, Status.DROPPED}
WAYS = ("done", "dead", "part", "tried", "suspect")
PIXELS = count(10_000)
PEOPLE = 3
FIRST_S = NOON // 1000 - 3600


class Event(NamedTuple):
    """The identity of an event within its pixel."""

    id: str
    person: int


class Attempt(NamedTuple):
    """Segments of a claim; ``dead`` is the engine's dead process that claimed them, None if the living one did."""

    segments: tuple[Segment, ...]
    dead: Any = None


def of(found: Record | LedgerRow) -> Event:
    """Return the event of a record or row; each person has a time of its own, as ledger rows do not name people."""
    return Event(found.id, found.time_s - FIRST_S)


class QueueModel(RuleBasedStateMachine):
    """A state machine that compares a queue with sets of events."""

    engine: ClassVar[ModelEngine]
    run_on: ClassVar[Callable[[Any], Any]]

    def __init__(self) -> None:
        super().__init__()
        self.pixel = str(next(PIXELS))
        self.engine.clock.now = NOON
        self.stored: set[Event] = set()
        """Acknowledged events."""
        self.possible: set[Event] = set()
        """Events that may be stored, as their answers were lost."""
        self.ended: set[Event] = set()
        self.suppressed: set[int] = set()
        self.attempts: list[Attempt] = []
        self.touched: set[Any] = set()
        """References of segments that were changed or removed since they were first claimed."""
        self.is_new = False
        """Whether anything happened since the last crash; a second crash at once would test nothing."""

    def run_async(self, work: Any) -> Any:
        return type(self).run_on(work)

    @property
    def queue(self) -> Any:
        return self.engine.queue

    def person(self, number: int) -> bytes:
        return self.pixel.encode().ljust(15, b"-") + bytes([number])

    def made(self, event: Event) -> Record:
        made = record(1, pixel=self.pixel, visitor=bytes([event.person + 1]) * 4, time_s=FIRST_S + event.person)
        return made._replace(id=event.id, person_digests=(self.person(event.person),))

    def held(self) -> set[Event]:
        """Return the events that the living process has claimed."""
        return {
            of(each)
            for attempt in self.attempts
            if attempt.dead is None
            for some in attempt.segments
            for each in some.records
        }

    # -- operations

    @rule(
        events=st.lists(st.tuples(st.integers(0, 9), st.integers(0, PEOPLE - 1)), min_size=1, max_size=8),
        loss=st.sampled_from(LOSSES),
    )
    def append(self, events: Sequence[tuple[int, int]], loss: str | None) -> None:
        self.is_new = True
        brought = [Event(f"event-{number}", person) for number, person in events]
        records = [self.made(event) for event in brought]
        stored = self.run_async(self.engine.append(records, loss))
        if stored is None:
            # A proxy that does not know of a suppression yet may have stored a suppressed person's too.
            self.possible.update(brought)
            return
        refused = Counter(of(each) for each, _ in stored.refused)
        repeats = Counter(of(each) for each in stored.duplicates)
        for event, times in Counter(brought).items():
            new = times - repeats[event] - refused[event]
            if event.person in self.suppressed:
                # Another proxy may not know yet; then the claim drops the event.
                self.possible |= {event} if new else set()
                continue
            assert refused[event] == 0
            if event in self.stored:
                assert new == 0, "stored twice"
            elif event in self.possible:
                assert new in {0, 1}
            else:
                assert new == 1, "acknowledged and not stored"
            self.stored.add(event)

    @rule(
        most=st.integers(1, 9),
        newest=st.booleans(),
        suspect=st.booleans(),
        loss=st.sampled_from(LOSSES),
    )
    def claim(self, most: int, loss: str | None, *, newest: bool, suspect: bool) -> None:
        self.is_new = True
        self.engine.lose(loss)
        segments = self.run_async(self.queue.claim(self.pixel, most=most, newest=newest, suspect=suspect))
        self.engine.lose(None)
        ats = [segment.at for segment in segments]
        assert ats == sorted(ats, reverse=newest or suspect)
        self.take(segments, most=most, suspect=suspect)

    def take(self, segments: tuple[Segment, ...], *, most: int, suspect: bool) -> None:
        """Check what was claimed, and remember it."""
        found = [of(each) for segment in segments for each in segment.records]
        assert len(found) == len(set(found))
        assert self.held().isdisjoint(found), "claimed twice"
        assert self.ended.isdisjoint(found), "sent after its end"
        assert set(found) <= self.stored | self.possible, "never stored"
        assert not any(event.person in self.suppressed for event in found), "a suppressed person's"
        assert suspect or len(found) <= most or len(segments) == 1
        assert all(bool(segment.suspect) is suspect for segment in segments)
        if segments:
            self.attempts.append(Attempt(segments))

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), loss=st.sampled_from(LOSSES))
    def settle(self, data: st.DataObject, loss: str | None) -> None:
        self.is_new = True
        attempt = self.attempts.pop(data.draw(st.integers(0, len(self.attempts) - 1), label="which"))
        ways = ["done" if attempt.dead else data.draw(st.sampled_from(WAYS)) for _ in attempt.segments]
        settlement = self.settlement(attempt.segments, ways)
        if attempt.dead:
            if self.suppressed:
                return  # what a claim dropped meanwhile would end twice: it was sent before, and dropped after that
            elsewhere = self.run_async(attempt.dead.settle(attempt.segments, settlement))
            assert elsewhere <= self.touched
        else:
            self.engine.lose(loss)
            elsewhere = self.run_async(self.queue.settle(attempt.segments, settlement))
            self.engine.lose(None)
            assert elsewhere <= self.touched
        for segment, way in zip(attempt.segments, ways, strict=True):
            if segment.ref not in elsewhere:
                self.end(segment, way)

    def settlement(self, segments: Sequence[Segment], ways: Sequence[str]) -> Settlement:
        done: list[Any] = []
        tried, suspects, remainders, dead, rows = [], [], [], [], []
        for segment, way in zip(segments, ways, strict=True):
            ended = {"done": segment.records, "dead": segment.records, "part": segment.records[:1]}.get(way, ())
            status = Status.DEAD if way == "dead" else Status.DELIVERED
            rows += [self.row(each, status) for each in ended]
            if way == "tried":
                tried.append(segment.ref)
            elif way == "suspect":
                suspects.append((segment.ref, 4))
            else:
                done.append(segment.ref)
            if way == "dead":
                dead += [NewDeadLetter(each, "rejected", GraphError(), 1) for each in segment.records]
            if rest := segment.records[1:] if way == "part" else ():
                remainders.append(Remainder(self.pixel, segment.attempts + 1, 0, rest, segment.at, segment.suspect))
        return Settlement(
            tuple(done), tuple(tried), False, tuple(suspects), tuple(remainders), tuple(dead), tuple(rows)
        )

    def row(self, ended: Record, status: Status) -> LedgerRow:
        now = self.engine.clock()
        return LedgerRow(now, self.pixel, ended.name, ended.id, ended.time_s, status, visitor=ended.visitor)

    def end(self, segment: Segment, way: str) -> None:
        events = [of(each) for each in segment.records]
        ended = events[:1] if way == "part" else events if way in {"done", "dead"} else []
        assert self.ended.isdisjoint(ended), "ended twice"
        self.ended.update(ended)
        self.touched.add(segment.ref)

    @precondition(lambda self: any(attempt.dead is None for attempt in self.attempts))
    @rule()
    def release(self) -> None:
        attempt = next(attempt for attempt in self.attempts if attempt.dead is None)
        self.attempts.remove(attempt)
        self.run_async(self.queue.release(attempt.segments))

    @precondition(lambda self: self.is_new)
    @rule(now=st.sampled_from([True, False, False, False]))
    def crash(self, *, now: bool) -> None:
        if not now:
            return
        self.is_new = False
        dead = self.run_async(self.engine.crash())
        late = [attempt._replace(dead=dead) for attempt in self.attempts if attempt.dead is None]
        going_on = [attempt for attempt in self.attempts if attempt.dead and not attempt.dead.is_ended]
        self.attempts = going_on + (late if dead else [])

    @rule(seconds=st.integers(-30, 60))
    def wait(self, seconds: int) -> None:
        self.engine.clock.now += seconds * 1000

    @rule(number=st.integers(0, PEOPLE - 1))
    def suppress(self, number: int) -> None:
        self.is_new = True
        self.suppressed.add(number)
        now = self.engine.clock()
        self.run_async(self.queue.suppress([self.person(number)], SuppressionKind.OPT_OUT, now))

    # -- final checks

    def teardown(self) -> None:
        for attempt in self.attempts:
            if attempt.dead is None:
                self.run_async(self.queue.release(attempt.segments))
        self.attempts.clear()
        self.run_async(self.engine.bury())
        self.run_async(until(self.drained, seconds=30, what="an end of every event, none lost"))
        rows = self.run_async(self.rows())
        ends = Counter(of(row) for row in rows if row.status in ENDED)
        assert ends == Counter(self.ended), "rows of the ledger"
        found = self.run_async(self.queue.rollups(RollupQuery(0, 1 << 30, pixel=self.pixel)))
        told = {each.key: each.events for each in found}
        assert told == {key: sums.events for key, sums in sums_by_key(rows).items()}, "rollups"
        assert self.ended <= self.stored | self.possible

    async def rows(self) -> list[LedgerRow]:
        return [row async for row in self.queue.events(Filter(pixel=self.pixel, limit=10_000))]

    async def drained(self) -> bool:
        """Deliver all that can be claimed; tell whether nothing waits and every event that must end has ended.

        What another proxy stored with an earlier clock is found, and counted, only a moment later.
        """
        for suspect in (False, True):
            while segments := await self.queue.claim(self.pixel, most=1000, suspect=suspect):
                self.take(segments, most=1000, suspect=suspect)
                self.attempts.clear()
                ways = ["done"] * len(segments)
                assert await self.queue.settle(segments, self.settlement(segments, ways)) == frozenset()
                for segment in segments:
                    self.end(segment, "done")
        self.ended |= {
            of(row)
            for row in await self.rows()
            if row.reason == DropReason.OPTED_OUT and of(row) in self.stored | self.possible
        }
        lost = {event for event in self.stored if event.person not in self.suppressed} - self.ended
        return not lost and not self.queue.stats().waiting.get(self.pixel)


def run_model(engine: ModelEngine, examples: int) -> None:
    """Run the model against an engine, on an event loop of its own."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(engine.start())
        machine = type("Machine", (QueueModel,), {"engine": engine, "run_on": staticmethod(loop.run_until_complete)})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        loop.run_until_complete(engine.close())
        loop.close()


@pytest.mark.long
def test_a_queue_in_sqlite_is_like_a_dictionary(tmp_path: Path) -> None:
    """SQLite agrees with the model, also after crashes, each simulated by a copy of the files."""
    run_model(SqliteEngine(tmp_path), 60)


@pytest.mark.long
def test_a_queue_in_postgresql_is_like_a_dictionary(postgres: Cluster, schema: str) -> None:
    """PostgreSQL agrees with the model, also if a dead leader settles late."""
    run_model(PostgresEngine(postgres, schema), 20)
