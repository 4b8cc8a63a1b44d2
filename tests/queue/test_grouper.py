"""Callers that wait at the same time are stored as one group, within bounds; each gets its own answer."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from support import SECRET, record

from proxy.model.record import Record
from proxy.queue.contract import QueueBrokenError, QueueError, QueueFullError, Stored
from proxy.queue.group import Append, Group, make_group
from proxy.queue.grouper import Bounds, Grouper, Outcome
from proxy.queue.seal import Sealer


class Nobody:
    """Suppressions of nobody."""

    version = 0

    def may_hold(self, _digest: bytes) -> bool:
        return False


class Engine:
    """An engine that stores groups once its gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.groups: list[list[str]] = []
        self.failure: QueueError | None = None
        self.tasks: list[asyncio.Task[None]] = []

    def make(self, appends: Sequence[Append]) -> Group:
        return make_group(appends, Sealer(SECRET), Nobody())

    def store(self, group: Group, tell: Callable[[Outcome], None]) -> None:
        self.tasks.append(asyncio.create_task(self._store(group, tell)))

    async def _store(self, group: Group, tell: Callable[[Outcome], None]) -> None:
        await self.gate.wait()
        if self.failure:
            tell(self.failure)
            return
        self.groups.append([member.record.id for member in group.members])
        tell([Stored(reused=call) for call, _ in enumerate(group.calls)])


def sized(size: int) -> Record:
    return record(1)._replace(payload=bytes(size))


async def test_each_caller_gets_its_own_answer() -> None:
    """The first call is stored alone; calls that come meanwhile form the next group, in their order."""
    engine = Engine()
    grouper = Grouper(engine.make, engine.store)
    engine.gate.clear()
    first = asyncio.ensure_future(grouper.append([record(0)]))
    for _ in range(3):
        await asyncio.sleep(0)
    later_calls = [asyncio.ensure_future(grouper.append([record(number), record(-number)])) for number in (1, 2, 3)]
    await asyncio.wait(later_calls, timeout=0)
    engine.gate.set()
    answers = await asyncio.gather(first, *later_calls)

    assert engine.groups == [["id-0"], ["id-1", "id--1", "id-2", "id--2", "id-3", "id--3"]]
    assert [answer.reused for answer in answers] == [0, 0, 1, 2]


async def test_the_wait_for_company_grows_with_the_company_there_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a lone call nobody waits; after a larger group the next one is collected for longer, up to a bound."""
    grouper = Grouper(Engine().make, Engine().store)
    loop = asyncio.get_running_loop()
    delays: list[float] = []

    def call_later(delay: float, call: Callable[[], None]) -> asyncio.Handle:
        delays.append(delay)
        return loop.call_soon(call)

    monkeypatch.setattr(loop, "call_later", call_later)
    for callers in (1, 1, 10, 400, 1):
        await asyncio.gather(*(grouper.append([record(number)]) for number in range(callers)))

    of_ten, of_many = delays
    assert 0 < of_ten < of_many <= 0.005


async def test_bytes_beyond_the_bound_are_refused_at_once() -> None:
    """Appends that exceed the bytes allowed to wait are refused; a single large one is accepted when nothing waits."""
    engine = Engine()
    engine.gate.clear()
    grouper = Grouper(engine.make, engine.store, Bounds(bytes=100_000))
    appends = [asyncio.ensure_future(grouper.append([sized(20_000)])) for _ in range(10)]
    await asyncio.wait(appends, timeout=0)
    refused = [append for append in appends if append.done() and isinstance(append.exception(), QueueFullError)]
    engine.gate.set()
    results = await asyncio.gather(*appends, return_exceptions=True)

    assert len(refused) == 6
    assert sum(isinstance(result, QueueFullError) for result in results) == 6
    assert await grouper.append([sized(500_000)]) == Stored()


async def test_a_crowd_beyond_the_bound_is_refused_at_once() -> None:
    """Callers beyond the bound are refused; those within it are served."""
    engine = Engine()
    engine.gate.clear()
    grouper = Grouper(engine.make, engine.store, Bounds(calls=10))
    appends = [asyncio.ensure_future(grouper.append([record(number)])) for number in range(50)]
    await asyncio.wait(appends, timeout=0)
    engine.gate.set()
    results = await asyncio.gather(*appends, return_exceptions=True)

    assert set(map(type, results)) == {Stored, QueueFullError}
    assert sum(isinstance(result, Stored) for result in results) >= 10


async def test_a_group_that_was_not_stored_fails_all_its_callers_and_no_later_one() -> None:
    """All callers of the failed group get the error; the next group is stored."""
    engine = Engine()
    grouper = Grouper(engine.make, engine.store)
    engine.failure = QueueFullError("the disk is full")
    results = await asyncio.gather(*(grouper.append([record(number)]) for number in range(20)), return_exceptions=True)
    engine.failure = None

    assert [type(result) for result in results] == [QueueFullError] * 20
    assert await grouper.append([record(1)]) == Stored()


@pytest.mark.parametrize(
    ("error", "told"), [(QueueFullError("too many wait"), QueueFullError), (MemoryError(), QueueError)]
)
async def test_a_group_that_is_not_taken_fails_all_its_callers_and_no_later_one(
    error: Exception, told: type[QueueError]
) -> None:
    """If the engine refuses groups at once, every caller gets an error, and the grouper goes on with the next group."""
    engine = Engine()

    def refuse(_group: Group, _tell: Callable[[Outcome], None]) -> None:
        raise error

    grouper = Grouper(engine.make, refuse)
    results = await asyncio.gather(
        *(grouper.append([record(number)]) for number in range(2000)), return_exceptions=True
    )
    await grouper.close()

    assert {type(result) for result in results} == {told}


async def test_an_engine_that_loses_an_answer_leaves_nobody_waiting() -> None:
    """If the answers of a group are incomplete, all its callers get an error, and the grouper goes on."""
    engine = Engine()

    def losing(group: Group, tell: Callable[[Outcome], None]) -> None:
        engine.store(group, lambda _outcome: tell([Stored()] * (len(group.calls) - 1)))

    grouper = Grouper(engine.make, losing)
    results = await asyncio.gather(*(grouper.append([record(number)]) for number in range(3)), return_exceptions=True)

    assert [type(result) for result in results] == [QueueError] * 3
    assert len(engine.groups) == 1


async def test_what_cannot_be_sealed_costs_no_neighbour() -> None:
    """A record for whose id no key can be made fails alone in its group."""
    engine = Engine()
    grouper = Grouper(engine.make, engine.store)
    bad = record(1)._replace(id="\ud800")
    results = await asyncio.gather(
        grouper.append([record(2)]), grouper.append([bad]), grouper.append([record(3)]), return_exceptions=True
    )

    assert [isinstance(result, QueueError) for result in results] == [False, True, False]
    assert sorted(id_ for group in engine.groups for id_ in group) == ["id-2", "id-3"]


async def test_a_caller_that_gave_up_disturbs_nobody() -> None:
    """The records of a cancelled caller are still stored, and the other callers get their answers."""
    engine = Engine()
    engine.gate.clear()
    grouper = Grouper(engine.make, engine.store)
    impatient = asyncio.ensure_future(grouper.append([record(1)]))
    patient = asyncio.ensure_future(grouper.append([record(2)]))
    await asyncio.wait([impatient], timeout=0)
    impatient.cancel()
    engine.gate.set()

    assert await patient == Stored(reused=1)
    assert engine.groups == [["id-1", "id-2"]]


async def test_closing_stores_what_waits_and_takes_no_more() -> None:
    """Calls made before closing are stored before it ends."""
    engine = Engine()
    grouper = Grouper(engine.make, engine.store)
    appends = [asyncio.ensure_future(grouper.append([record(number)])) for number in range(5)]
    await asyncio.wait(appends, timeout=0)
    await grouper.close()
    stored = sum(map(len, engine.groups))
    with pytest.raises(QueueBrokenError):
        await grouper.append([record(9)])

    assert stored == 5
    assert len(await asyncio.gather(*appends)) == 5
