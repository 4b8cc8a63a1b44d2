"""The alerter, with a clock set by the test and receivers on loopback: each message is sent once, without delays."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from alert_receivers import Hook, hook
from clock import Clock
from polling import until

from proxy.alerts.alerter import Alerter
from proxy.alerts.keeping import STATE_FILE, StateFile
from proxy.alerts.message import AlertSender
from proxy.alerts.post import MOST_AN_HOUR
from proxy.alerts.receivers import receivers_of
from proxy.config.alerts import AlertSettings
from proxy.model.condition import ConditionCode
from proxy.telemetry.conditions import Conditions

CODES = get_args(ConditionCode)
MINUTE = 60_000
HOUR = 60 * MINUTE


@dataclass
class Stage:
    """An alerter with a board, a clock and webhooks."""

    directory: Path
    hooks: Sequence[Hook]
    settings: dict[str, Any]
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.board = Conditions(self.clock, say=lambda _line: None)
        self.start()

    def start(self) -> None:
        """Start the alerter, as after a restart."""
        hooks = [{"kind": "json", "url": each.url} for each in self.hooks]
        settings = AlertSettings.model_validate({"webhook": hooks, **self.settings}, context={"resolve": str})
        self.alerter = Alerter(
            settings,
            receivers_of(settings),
            look=self._look,
            known=self.board.current,
            figures=self._figures,
            board=self.board,
            file=StateFile(self.directory),
            lane=None,
            sender=AlertSender("edge-1", "", "UTC"),
            now=self.clock,
        )

    async def _look(self) -> Sequence[Any]:
        return self.board.current()

    async def _figures(self, since: int, until_: int) -> Sequence[str]:
        return (f"Delivered: {until_ - since} events",)

    async def pass_time(self, minutes: float, *, done: bool = True) -> None:
        """Let time pass in steps of ten seconds; with ``done`` wait for the messages of each."""
        for _ in range(int(minutes * 6)):
            self.clock.now += 10_000
            await self.tick(done=done)

    async def tick(self, *, done: bool = True) -> None:
        await self.alerter.tick()
        if done:
            for post in self.alerter.posts:
                await post.wait_until_idle()


@asynccontextmanager
async def stage(directory: Path, number: int = 1, **settings: Any) -> AsyncIterator[Stage]:
    async with hook() as first, hook() as second:
        made = Stage(directory, [first, second][:number], settings)
        try:
            yield made
        finally:
            await made.alerter.close()


def titles(taken: Hook) -> list[str]:
    return [body["title"] for body in taken.bodies]


async def test_a_condition_is_told_once_and_cleared_once(tmp_path: Path) -> None:
    """A condition causes one message at its beginning and one at its end, whatever happens in between."""
    async with stage(tmp_path) as made:
        made.board.report("pixel_paused", "55", "token")
        await made.pass_time(30)
        made.board.report("pixel_paused", "55", "permission")
        await made.pass_time(30)
        made.board.clear("pixel_paused", "55")
        await made.pass_time(30)

        assert titles(made.hooks[0]) == ["A pixel is paused: 55", "Over: A pixel is paused: 55"]


async def test_a_restart_tells_nothing_twice(tmp_path: Path) -> None:
    """After a restart a reported condition is not reported again; its end is, also if it ended during the restart."""
    async with stage(tmp_path) as made:
        made.board.report("pixel_paused", "55", "token")
        await made.pass_time(5)
        await made.alerter.close()
        made.start()
        await made.pass_time(30)
        told = titles(made.hooks[0])
        await made.alerter.close()
        made.board.clear("pixel_paused", "55")
        made.clock.now += 5 * HOUR
        made.start()
        await made.pass_time(30)

        assert told == ["A pixel is paused: 55"]
        assert titles(made.hooks[0]) == [*told, "Over: A pixel is paused: 55"]


async def test_what_begins_together_comes_in_one_message(tmp_path: Path) -> None:
    """Conditions that begin within a minute are one message, those that fail readiness first."""
    async with stage(tmp_path, after_seconds=60) as made:
        for code in ("clock", "pixel_paused", "graph_errors"):
            made.board.report(code)
        for code in ("queue", "disk_short"):
            await made.pass_time(1 / 6)
            made.board.report(code)  # type: ignore[arg-type]
        await made.pass_time(10)

        assert [[each["code"] for each in body["began"]] for body in made.hooks[0].bodies] == [
            ["pixel_paused", "clock", "graph_errors"],
            ["queue", "disk_short"],
        ]


async def test_a_storm_is_bounded(tmp_path: Path) -> None:
    """Conditions that keep coming and going cause at most twelve messages an hour."""
    async with stage(tmp_path, after_seconds=0, failing_after_seconds=0, clear_seconds=0) as made:
        hours: list[int] = []
        for number in range(3 * 360):
            made.board.report(CODES[number % len(CODES)], str(number))
            made.board.clear(CODES[(number - 2) % len(CODES)], str(number - 2))
            await made.pass_time(1 / 6)
            if number % 360 == 359:
                hours.append(len(made.hooks[0].bodies))

        assert hours[0] == MOST_AN_HOUR
        assert hours[2] <= 3 * MOST_AN_HOUR


async def test_a_receiver_that_hangs_delays_no_other(tmp_path: Path) -> None:
    """While one receiver does not answer, the other gets all messages, and the conditions are still watched."""
    async with stage(tmp_path, 2) as made:
        hanging, good = made.hooks
        hanging.hangs = True
        made.board.report("pixel_paused", "55")
        await made.pass_time(10, done=False)
        await made.alerter.posts[1].wait_until_idle()
        made.board.clear("pixel_paused", "55")
        await made.pass_time(10, done=False)
        await until(lambda: len(good.bodies) == 2 and hanging.asked == 1, what="two messages")

        assert titles(good) == ["A pixel is paused: 55", "Over: A pixel is paused: 55"]


async def test_a_receiver_that_was_away_hears_what_stands_and_what_is_over(tmp_path: Path) -> None:
    """It is tried more and more rarely, then gets everything in one message; meanwhile a condition reports it."""
    async with stage(tmp_path, 2) as made:
        away, good = made.hooks
        away.status = 503
        made.board.report("pixel_paused", "55")
        made.board.report("pixel_paused", "77")
        await made.pass_time(20)
        made.board.clear("pixel_paused", "77")
        await made.pass_time(160)
        (stands,) = [each for each in made.board.current() if each.code == "alert_not_sent"]
        tries = away.asked
        away.status = 200
        await made.pass_time(40)
        (body,) = away.bodies

        assert 8 <= tries <= 12
        assert stands.subject == made.alerter.posts[0].name
        assert [[each["subject"] for each in body[part]] for part in ("began", "missed")] == [["55"], ["77"]]
        assert "A receiver of alerts does not take them" in " ".join(titles(good))
        assert [each.code for each in made.board.current()] == ["pixel_paused"]


async def test_a_receiver_that_asks_for_time_gets_it(tmp_path: Path) -> None:
    """``Retry-After`` is obeyed, up to an hour."""
    async with stage(tmp_path) as made:
        (busy,) = made.hooks
        busy.status, busy.headers = 429, {"Retry-After": "1800"}
        made.board.report("pixel_paused", "55")
        await made.pass_time(25)
        early = busy.asked
        await made.pass_time(10)

        assert (early, busy.asked) == (1, 2)


async def test_a_message_that_is_tried_again_has_its_name_again(tmp_path: Path) -> None:
    """A repeated message has the same id, by which a receiver can recognise it; another message has another id."""
    async with stage(tmp_path) as made:
        made.board.report("pixel_paused", "55")
        await made.pass_time(2)
        made.alerter._own.state.receipts[made.alerter.posts[0].key].told.clear()  # as if it had died before remembering
        await made.pass_time(2)
        made.board.report("pixel_paused", "77")
        await made.pass_time(2)
        first, second, third = made.hooks[0].bodies

        assert first["id"] == second["id"] != third["id"]


async def test_each_reminder_has_a_name_of_its_own(tmp_path: Path) -> None:
    """Each reminder has a new id, so that a receiver or mail program does not take it for a repeat."""
    async with stage(tmp_path, repeat_hours=1) as made:
        made.board.report("pixel_paused", "55")
        await made.pass_time(130)
        bodies = made.hooks[0].bodies

        assert [len(body["still"]) for body in bodies] == [0, 1, 1]
        assert len({body["id"] for body in bodies}) == len(bodies)


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b'{"alerts": 3}'])
async def test_a_damaged_file_costs_no_alert(tmp_path: Path, text: bytes) -> None:
    """Whatever the state file contains, alerts start again."""
    (tmp_path / STATE_FILE).write_bytes(text)
    async with stage(tmp_path) as made:
        made.board.report("pixel_paused", "55")
        await made.pass_time(2)

        assert titles(made.hooks[0]) == ["A pixel is paused: 55"]


async def test_a_disk_that_takes_nothing_costs_no_alert(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk is reported even if the alerter's state cannot be written; the log has one line about that."""
    async with stage(tmp_path / "gone") as made:
        made.board.report("queue", detail="the disk is full")
        await made.pass_time(20)

        assert titles(made.hooks[0]) == ["Events cannot be stored"]
        await until(lambda: "the state of alerts cannot be written" in caplog.text)
        await made.pass_time(2)
        assert caplog.text.count("the state of alerts cannot be written") == 1


async def test_a_summary_comes_once_a_day_at_its_time(tmp_path: Path) -> None:
    """The summary comes at the hour in the owner's time zone, across restarts, and lists the current conditions.

    It does not come at once after the first start.
    """
    async with stage(tmp_path, summary_at="08:00", time_zone="Asia/Tokyo") as made:
        made.board.report("pixel_paused", "55")
        for _ in range(3):
            await made.pass_time(24 * 60 / 6)
            await made.alerter.close()
            made.start()
        for _ in range(14):
            made.clock.now += 6 * HOUR
            await made.tick()
        summaries = [body for body in made.hooks[0].bodies if body["kind"] == "summary"]

        assert len(summaries) == pytest.approx(4, abs=1)
        assert len({body["at"] // (24 * HOUR) for body in summaries}) == len(summaries)
        assert "Delivered: 86400000 events" in summaries[0]["text"]
        assert summaries[0]["still"][0]["subject"] == "55"


@pytest.mark.parametrize(("month", "day", "hours"), [(3, 29, 23), (3, 30, 24), (10, 25, 25), (10, 26, 24)])
async def test_a_summary_begins_where_the_last_one_ended(tmp_path: Path, month: int, day: int, hours: int) -> None:
    """On the days when summer time begins or ends it covers 23 or 25 hours, so none is reported twice or left out."""
    zone = ZoneInfo("Europe/Berlin")
    async with stage(tmp_path, summary_at="08:00", time_zone="Europe/Berlin") as made:
        for days, minutes in ((-1, -10), (0, 1)):
            at = datetime(2026, month, day, 8, tzinfo=zone) + timedelta(days=days, minutes=minutes)
            made.clock.now = int(at.timestamp() * 1000)
            await made.tick()
        made.clock.now += 10_000
        await made.tick()
        (summary,) = [body for body in made.hooks[0].bodies if body["kind"] == "summary"]

    assert f"Delivered: {hours * HOUR} events" in summary["text"]


async def test_a_test_asks_everybody_and_says_what_each_answered(tmp_path: Path) -> None:
    """A receiver that accepts the test and one that does not have different results under different names."""
    async with stage(tmp_path, 2) as made:
        made.hooks[1].status = 404
        answers = await made.alerter.test()

        assert [answer.taken for answer in answers.values()] == [True, False]
        assert titles(made.hooks[0]) == ["Test of the alerts"]


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_look_that_fails_or_hangs_keeps_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    """While a disk or database lets the look fail or hang, conditions on the board are still reported."""
    monkeypatch.setattr("proxy.alerts.alerter._LOOK_S", 0.01)

    async def look() -> Sequence[Any]:
        if hangs:
            await asyncio.Event().wait()
        raise OSError("of the test")

    async with stage(tmp_path) as made:
        made.alerter._look = look
        made.board.report("queue", detail="the disk hangs")
        await made.pass_time(2)

        assert titles(made.hooks[0]) == ["Events cannot be stored"]


async def test_a_fault_in_a_tick_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unforeseen error is logged, and the next tick takes place."""
    ticks: list[int] = []

    async def tick() -> None:
        ticks.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr("proxy.alerts.alerter.EVERY_S", 0.01)
    async with stage(tmp_path) as made:
        made.alerter.tick = tick  # type: ignore[method-assign]
        task = asyncio.create_task(made.alerter.run())
        await until(lambda: len(ticks) > 2, what="three ticks")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
