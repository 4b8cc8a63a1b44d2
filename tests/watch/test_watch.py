"""The watch: the conditions that a look reports and clears, each only where it applies."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from clock import NOON, Clock
from polling import until

from proxy.model.condition import Condition
from proxy.model.ledger import Status
from proxy.model.rollup import LAG_SLOTS, Rollup, RollupKey, RollupQuery
from proxy.model.units import DAY_MS, HOUR_MS
from proxy.queue.contract import QueueError, Stats
from proxy.telemetry.conditions import Conditions
from proxy.watch.watch import Watch, Watched, WatchedQueue

NOW = NOON // HOUR_MS
GIB = 1 << 30
MINUTE = 60_000


def counted(hour: int, events: int, copy: str = "fired", status: Status = Status.DELIVERED, **key: str) -> Rollup:
    """Return a rollup of a site's events."""
    words = {"site": "shop", "pixel": "55", "name": "PageView", "reason": "", **key}
    place = RollupKey(hour, words["site"], words["pixel"], words["name"], status, words["reason"], copy)
    return Rollup(place, events, {}, {}, (0,) * LAG_SLOTS)


@dataclass
class Figures:
    """A queue's figures, as set by a test."""

    found: list[Rollup] = field(default_factory=list)
    shown: Stats = field(default_factory=lambda: Stats({}, 1))
    full: float = 0.0
    broken: bool = False
    asked: list[RollupQuery] = field(default_factory=list)

    async def rollups(self, wanted: RollupQuery) -> list[Rollup]:
        if self.broken:
            raise QueueError("of the test")
        self.asked.append(wanted)
        return [each for each in self.found if wanted.since_hour <= each.key.hour < wanted.until_hour]

    def stats(self) -> Stats:
        return self.shown

    def fullness(self) -> float:
        return self.full


@dataclass
class Stage:
    """A watch with its figures, board and clock."""

    figures: Figures = field(default_factory=Figures)
    clock: Clock = field(default_factory=Clock)
    free: Callable[[], int] = lambda: 100 * GIB
    version: str = "v26.0"

    def __post_init__(self) -> None:
        self.board = Conditions(self.clock, say=lambda _line: None)
        self.watch = Watch(
            Watched({"shop": ["55"]}, self.version, 128 << 20),
            queue=cast("WatchedQueue", self.figures),
            board=self.board,
            free_bytes=self._free,
            now=self.clock,
        )

    def _free(self) -> int:
        return self.free()

    async def look(self, after: int = 0) -> list[Condition]:
        self.clock.now += after
        await self.watch.look()
        return self.board.current()

    async def codes(self, after: int = 0) -> list[str]:
        return [condition.code for condition in await self.look(after)]


def every_hour(weeks: int = 2, events: int = 100, ending: int = NOW, **key: Any) -> list[Rollup]:
    return [counted(hour, events, **key) for hour in range(ending - weeks * 168, ending + 1)]


async def test_a_sound_proxy_is_silent() -> None:
    """With the usual events, free space and a current version nothing is reported, at any look of a day."""
    stage = Stage(Figures(every_hour() + [counted(NOW + hour, 100) for hour in range(30)]))

    assert not any([await stage.look(15 * MINUTE) for _ in range(100)])


async def test_silence_begins_and_ends() -> None:
    """Silence is reported after a period in which thirty events are usual, and ends with the next event.

    Pages and servers are judged separately.
    """
    servers = every_hour(events=40, copy="")
    stage = Stage(Figures(every_hour(ending=NOW - 3) + servers))
    early = await stage.codes()
    (found,) = await stage.look(10 * MINUTE)
    stage.figures.found.append(counted(NOW, 1))
    over = await stage.codes(MINUTE)

    assert (early, over) == ([], [])
    assert (found.code, found.subject) == ("silence", "shop")
    assert found.detail.startswith("none since 2026-09-21 ")


async def test_silence_of_servers_has_its_own_subject() -> None:
    """A backend that stops sending is reported separately from pages that go on."""
    stage = Stage(Figures(every_hour() + every_hour(copy="", ending=NOW - 5)))
    await stage.look()
    (found,) = await stage.look(10 * MINUTE)

    assert (found.code, found.subject) == ("silence", "shop servers")


async def test_what_waits_for_meta_is_no_silence() -> None:
    """While events wait because Graph is away, the figures lack them, and no silence is reported."""
    stage = Stage(Figures(every_hour(ending=NOW - 5), Stats({"55": 7}, 0)))
    await stage.look()

    assert await stage.codes(10 * MINUTE) == []


async def test_machines_are_nobody() -> None:
    """Events dropped as a crawler's do not hide a silence."""
    crawler = every_hour(events=5, status=Status.DROPPED, reason="bot")
    stage = Stage(Figures(every_hour(ending=NOW - 5) + crawler))
    await stage.look()

    assert await stage.codes(10 * MINUTE) == ["silence"]


@pytest.mark.parametrize(
    ("found", "codes"),
    [
        ([], ["tag_not_seen"]),  # a new installation
        ([counted(NOW - 200, 1)], ["tag_not_seen"]),  # a week and more ago
        ([counted(NOW - 100, 1)], []),
        ([counted(NOW, 1, status=Status.DROPPED, reason="no_consent")], []),
        ([counted(NOW, 5, copy="")], []),  # servers alone, as ever
        ([counted(NOW, 5, copy=""), counted(NOW - 200, 1)], ["tag_not_seen"]),
        ([counted(NOW, 5, status=Status.DROPPED, reason="bot")], ["tag_not_seen"]),
        ([counted(NOW, 5, site="other")], ["tag_not_seen"]),
    ],
)
async def test_a_tag_that_is_not_seen_is_told_after_an_hour(found: list[Rollup], codes: list[str]) -> None:
    """It is not reported in the first hour after the start, nor for a site for which only servers send."""
    stage = Stage(Figures(found))
    early = await stage.codes(59 * MINUTE)

    assert (early, await stage.codes(MINUTE)) == ([], codes)


async def test_a_fall_of_the_pair_rate_begins_and_ends() -> None:
    """If the Pixel disappears from the pages, that is reported within hours.

    The alert ends when half of the gap is closed again.
    """
    before = [
        counted(hour, events, copy)
        for hour in range(NOW - 400, NOW)
        for copy, events in (("fired", 70), ("blocked", 30))
    ]
    stage = Stage(Figures([*before, counted(NOW, 5)]))
    sound = await stage.codes()
    for hour in range(NOW, NOW + 4):
        stage.figures.found += [counted(hour, 2), counted(hour, 98, "blocked")]
    (found,) = await stage.look(4 * HOUR_MS)
    for hour in range(NOW + 4, NOW + 8):
        stage.figures.found += [counted(hour, 70), counted(hour, 30, "blocked")]
    over = await stage.codes(4 * HOUR_MS)

    assert (sound, over) == ([], [])
    assert (found.code, found.subject) == ("pair_rate_fell", "shop")
    assert found.detail == "in the last 3 h 2% fired, where usually 70% do"


async def test_dead_letters_begin_and_end() -> None:
    """One dead letter in a thousand events of a day begins it; fewer than half as many, or none left, end it."""
    stage = Stage(Figures(every_hour(events=100)))
    sound = await stage.codes()
    stage.figures.found.append(counted(NOW, 3, status=Status.DEAD))
    (found,) = await stage.look(MINUTE)
    stage.figures.shown = Stats({}, 0)
    replayed = await stage.codes(MINUTE)
    stage.figures.shown = Stats({}, 3)
    again = await stage.codes(MINUTE)
    stage.figures.found.append(counted(NOW, 10_000))
    diluted = await stage.codes(MINUTE)

    assert (sound, replayed, again, diluted) == ([], [], ["dead_letters"], [])
    assert (found.subject, found.detail) == ("55", "3 of 2403 events of the last 24 hours are dead letters")


@pytest.mark.parametrize(("version", "codes"), [("v26.0", []), ("v25.0", []), ("v20.0", ["graph_version"])])
async def test_the_end_of_a_version_is_told(version: str, codes: list[str]) -> None:
    """A version is reported three days before its end; one that is current is not."""
    assert await Stage(Figures(every_hour()), version=version).codes() == codes


async def test_a_queue_that_fills_begins_and_ends() -> None:
    """It begins at a rate that fills the queue within a day, or when it is nearly full, and ends well below that."""
    stage = Stage(Figures(every_hour(ending=NOW + 9)))
    seen = {}
    for full in (0.01, 0.03, 0.05, 0.07):
        stage.figures.full = full
        seen[full] = await stage.look(10 * MINUTE)
    for full in (0.065, 0.85, 0.75, 0.75, 0.75, 0.75, 0.65):
        stage.figures.full = full
        seen[full] = await stage.look(10 * MINUTE)

    assert [full for full, found in seen.items() if found] == [0.05, 0.07, 0.065, 0.85, 0.75]
    assert seen[0.07][0].detail == "7% of its bounds are used, all of them in 8 h at this rate"


async def test_a_disk_that_fills_begins_and_ends() -> None:
    """It begins below four times the reserve, or if the reserve is reached soon, and ends a quarter above that."""
    stage = Stage(Figures(every_hour(ending=NOW + 9)))
    seen = {}
    for megabytes in (90_000, 30_000, 6_000, 4_000, 2_000, 500, 550, 550, 550, 550, 700):
        stage.free = lambda megabytes=megabytes: megabytes << 20  # type: ignore[misc]
        seen[megabytes] = await stage.look(10 * MINUTE)

    assert [megabytes for megabytes, found in seen.items() if found] == [4_000, 2_000, 500, 550]
    assert seen[500][0].detail.startswith("500 MiB are free, too little in ")


async def test_a_disk_that_hangs_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement that does not return is not repeated, and everything else is still watched."""
    monkeypatch.setattr("proxy.watch.watch._DISK_S", 0.01)
    stage, answers, asked = Stage(version="v20.0"), threading.Event(), []

    def hang() -> int:
        asked.append(1)
        answers.wait(30)
        return 0

    stage.free = hang
    seen = [await stage.codes(MINUTE) for _ in range(5)]
    answers.set()
    await until(lambda: stage.watch._measuring and stage.watch._measuring.done(), what="the answer")

    assert (seen, asked) == ([["graph_version"]] * 5, [1])
    assert await stage.codes() == ["graph_version", "disk_short"]


async def test_a_queue_that_cannot_be_read_changes_nothing() -> None:
    """While the queue cannot be read conditions stay as they are; the history is read again later."""
    stage = Stage(Figures(every_hour()))
    stage.figures.found.append(counted(NOW, 300, status=Status.DEAD))
    first = await stage.codes()
    stage.figures.broken = True
    meanwhile = await stage.codes(DAY_MS)
    stage.figures.broken = False

    assert (first, meanwhile) == (["dead_letters"], ["dead_letters"])
    assert "dead_letters" not in await stage.codes()


async def test_the_long_history_is_read_once() -> None:
    """Five weeks are read at the start, a day at each full hour, two hours at each minute."""
    stage = Stage(Figures(every_hour()))
    spans = []
    for after in (0, MINUTE, HOUR_MS, MINUTE):
        stage.figures.asked.clear()
        await stage.look(after)
        spans.append(sum(query.until_hour - query.since_hour for query in stage.figures.asked))

    assert spans == [5 * 168 + 1, 2, 25, 2]


async def test_a_clock_that_is_set_costs_no_history() -> None:
    """After a large step of the clock, or a long pause, the missing hours are read again."""
    stage = Stage(Figures(every_hour()))
    spans = []
    for after in (0, 400 * DAY_MS, -400 * DAY_MS, MINUTE, 3 * DAY_MS, -2 * HOUR_MS):
        stage.figures.asked.clear()
        await stage.look(after)
        spans.append(sum(query.until_hour - query.since_hour for query in stage.figures.asked))
    fired, _ = stage.watch._hours.copies("shop", range(NOW - 100, NOW))

    assert spans == [841, 841, 841, 2, 73, 841]
    assert fired > 0


async def test_a_fault_of_a_look_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unforeseen error is logged, and the next look takes place."""
    monkeypatch.setattr("proxy.watch.watch.EVERY_S", 0.01)
    stage = Stage(Figures(every_hour()))
    looks: list[int] = []

    def full() -> float:
        looks.append(1)
        raise ZeroDivisionError

    stage.figures.fullness = full  # type: ignore[method-assign]
    task = asyncio.create_task(stage.watch.run())
    await until(lambda: len(looks) > 2, what="three looks")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
