"""The number of held events and the next due time are kept in memory, and always agree with the file."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from clock import NOON, Clock
from held_rig import claimed, figures, held_event, ids, opened
from hypothesis import given, settings
from hypothesis import strategies as st
from support import PIXEL, SECRET, record, server_record

from proxy.model.server_request import NO_FIELDS, RequestFields
from proxy.queue.contract import QueueError, Settlement, WholeQueue
from proxy.queue.group import Append, make_group
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.appends import Appends
from proxy.queue.sqlite.corrections import Corrections
from proxy.queue.sqlite.deliveries import Deliveries
from proxy.queue.sqlite.engine import LocalQueue
from proxy.queue.sqlite.holds import next_due
from proxy.queue.sqlite.tables import Tables

pytestmark = pytest.mark.both_engines

SPRING = RequestFields(upload_tag="spring")


@pytest.mark.only_sqlite
async def test_a_rollback_leaves_what_is_held_as_it_was(queue: LocalQueue, clock: Clock) -> None:
    """A failed release or append changes neither the number of held events nor the next due time."""
    await queue.append([held_event(1, 5)])
    store = queue._store

    def failing(change: Callable[[], object]) -> Callable[[], None]:
        def work() -> None:
            change()
            assert store.tables.counts.next_due.changes
            raise ValueError

        return work

    group = store.group([Append([held_event(2, 1)])])
    clock.now += 500
    with pytest.raises(QueueError):
        await queue._writer.do(failing(lambda: store._appends.store(group)))
    assert figures(queue.stats()) == (1, 1, 5)
    clock.now = NOON + 5000
    with pytest.raises(QueueError):
        await queue._writer.do(failing(lambda: store.deliveries.claim(PIXEL, 10)))

    assert figures(queue.stats()) == (1, 1, 5)
    assert await claimed(queue) == ["id-1"]


@pytest.mark.only_sqlite
async def test_the_next_due_is_found_again_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    """After a restart counts and next due time are those of the file, whatever was claimed before."""
    async with opened(tmp_path, clock) as queue:
        await queue.append([held_event(1, 5), held_event(2, 9), record(3)])
        assert await claimed(queue) == ["id-3"]
    clock.now += 6000
    async with opened(tmp_path, clock) as queue:
        assert figures(queue.stats()) == (3, 2, 5)
        assert await claimed(queue) == ["id-3", "id-1"]
    async with opened(tmp_path, clock) as queue:
        assert figures(queue.stats()) == (3, 1, 9)
        assert sorted(await claimed(queue)) == ["id-1", "id-3"]


async def test_a_clock_that_steps_back_holds_nothing_again(queue: WholeQueue, clock: Clock) -> None:
    """Released events stay released; held ones become due by the clock as it is now."""
    await queue.append([held_event(1, 5), held_event(2, 9)])
    clock.now += 5000
    segments = await queue.claim(PIXEL, most=10)
    clock.now -= 3_600_000
    await queue.release(segments)

    assert await claimed(queue) == ["id-1"]
    clock.now = NOON + 9000
    assert await claimed(queue) == ["id-2"]


class FaultError(Exception):
    """The error with which a transaction is made to fail."""


def end(*, fails: bool) -> None:
    if fails:
        raise FaultError


class Installation:
    """The tables of a file, and what the test expects of the events in them."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.directory = directory
        self.clock = clock
        self.due: dict[str, int] = {}
        """When each waiting event is due, by its id."""
        self.latest = clock.now
        """The latest time at which anything was released."""
        self.number = 0
        self.open()

    def open(self) -> None:
        self.tables = Tables(self.directory / "queue.db", Sealer(SECRET), self.clock)
        self.deliveries = Deliveries(self.tables)
        self.corrections = Corrections(self.tables)

    @contextmanager
    def transaction(self, *, fails: bool) -> Iterator[None]:
        """Run a transaction, which fails at its end if ``fails``; then the test's expectations are reset too."""
        due, latest = dict(self.due), self.latest
        try:
            with self.tables.transaction():
                yield
                end(fails=fails)
        except FaultError:
            self.due, self.latest = due, latest

    def append(self, seconds: Sequence[int], *, fails: bool) -> None:
        records = []
        for each in seconds:
            self.number += 1
            source = server_record(self.number, SPRING if self.number % 3 else NO_FIELDS, time_s=NOON // 1000)
            event = source if self.number % 2 else record(self.number, time_s=NOON // 1000)
            moment = self.clock.now + each * 1000 if each else 0
            records.append(event._replace(not_before=moment, person_digests=(bytes([self.number % 4]) * 16,)))
        with self.transaction(fails=fails):
            self.due |= {each.id: each.not_before for each in records}
            appends = [Append(records[::2]), Append(records[1::2])]
            Appends(self.tables).store(make_group(appends, Sealer(SECRET), self.tables.suppressions))

    def claim(self, most: int, *, fails: bool, settles: bool) -> None:
        """Claim events, then settle or release them; if none is found, none may be due."""
        with self.transaction(fails=fails):
            self.latest = max(self.latest, self.clock.now)
            segments, _ = self.deliveries.claim(PIXEL, most)
            found = ids(segments)
            assert all(self.due[each] <= self.latest for each in found)
            assert found or not [each for each, moment in self.due.items() if moment <= self.clock.now]
            if settles:
                self.due = {each: moment for each, moment in self.due.items() if each not in found}
                self.deliveries.settle(segments, Settlement(done=tuple(segment.ref for segment in segments)))
            else:
                self.deliveries.release(segments)

    def erase(self, person: int, *, fails: bool) -> None:
        with self.transaction(fails=fails):
            removed, _ = self.corrections.erase_waiting([bytes([person]) * 16], 0)
            left = {each: moment for each, moment in self.due.items() if int(each[3:]) % 4 != person}
            assert removed == len(self.due) - len(left)
            self.due = left

    def reopen(self) -> None:
        self.tables.db.close()
        self.open()

    def check(self) -> None:
        """Compare the figures in memory with the file."""
        stats, db = self.tables.counts.stats(), self.tables.db
        waiting = "SELECT coalesce(sum(n), 0), coalesce(sum(n) FILTER (WHERE not_before>0), 0) FROM segment"
        fields = "SELECT fields, sum(n) FROM segment WHERE not_before=0 AND fields<>x'' GROUP BY fields"
        with_fields = {(PIXEL, key, False): events for key, events in db.execute(fields).fetchall()}
        first = next_due(db)
        assert (stats.waiting.get(PIXEL, 0), stats.held.get(PIXEL, 0)) == db.execute(waiting).fetchall()[0]
        assert stats.waiting.get(PIXEL, 0) == len(self.due)
        assert self.tables.counts.with_fields.values == with_fields
        assert first is None or (stats.next_due is not None and stats.next_due <= first)


SECONDS = st.integers(-5, 60)
FAILS = st.sampled_from([False, False, False, True])
STEPS: st.SearchStrategy[tuple[str, dict[str, Any]]] = st.one_of(
    st.tuples(st.just("append"), st.fixed_dictionaries({"seconds": st.lists(SECONDS, min_size=1), "fails": FAILS})),
    st.tuples(
        st.just("claim"),
        st.fixed_dictionaries({"most": st.integers(1, 30), "fails": FAILS, "settles": st.booleans()}),
    ),
    st.tuples(st.just("erase"), st.fixed_dictionaries({"person": st.integers(0, 3), "fails": FAILS})),
    st.tuples(st.just("wait"), st.fixed_dictionaries({"seconds": SECONDS})),
    st.tuples(st.just("reopen"), st.just({})),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=25))
def test_whatever_happens_nothing_is_early_late_or_lost(steps: list[tuple[str, dict[str, Any]]]) -> None:
    """Through faults, erasures, restarts and clock steps the figures match the file, and each event leaves once."""
    with TemporaryDirectory() as directory:
        installation = Installation(Path(directory), Clock())
        for what, how in steps:
            if what == "wait":
                installation.clock.now += how["seconds"] * 1000
            else:
                getattr(installation, what)(**how)
            installation.check()
        installation.clock.now += 3_600_000
        installation.claim(1000, fails=False, settles=True)
        while installation.due:
            installation.claim(1000, fails=False, settles=True)
        installation.check()
        assert installation.tables.counts.next_due.value is None
        installation.tables.db.close()
