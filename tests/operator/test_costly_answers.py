"""Slow answers of the operator API are made once for simultaneous requests, and kept for a while."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from proxy.operator.costly_answers import CostlyAnswers


class Work:
    """Makes an answer that takes a given time on a clock that only this class moves."""

    def __init__(self, seconds: float) -> None:
        self.now = 100.0
        self.seconds = seconds
        self.made = count()
        self.answers: CostlyAnswers[bytes] = CostlyAnswers(lambda: self.now)

    async def make(self) -> bytes:
        await asyncio.sleep(0)
        self.now += self.seconds
        return b"%d" % next(self.made)

    async def ask(self, question: object = "", make: Callable[[], Coroutine[Any, Any, bytes]] | None = None) -> bytes:
        return await self.answers.get_or_make(question, make or self.make)


@pytest.mark.parametrize(
    ("seconds", "later", "expected"),
    [(0.05, 0.0, b"1"), (0.5, 9.0, b"0"), (0.5, 10.5, b"1"), (30.0, 59.0, b"0"), (30.0, 61.0, b"1")],
)
async def test_an_answer_is_given_again_for_as_long_as_it_cost(seconds: float, later: float, expected: bytes) -> None:
    """A quick answer is never kept; a slow one is kept for twenty times as long as it took, but at most a minute."""
    work = Work(seconds)
    assert await work.ask() == b"0"
    work.now += later

    assert await work.ask() == expected


async def test_an_answer_is_made_once_at_a_time() -> None:
    """Requests during the work wait for the same answer; another query has an answer of its own."""
    work = Work(0.01)

    assert list(await asyncio.gather(work.ask(), work.ask(), work.ask("other"))) == [b"0", b"0", b"1"]
    assert await work.ask() == b"2"


async def test_whoever_goes_away_takes_it_from_nobody() -> None:
    """If one waiting request is cancelled, as by a closed tab, the others still get the answer."""
    work = Work(1.0)
    gone, stays = asyncio.create_task(work.ask()), asyncio.create_task(work.ask())
    await asyncio.sleep(0)
    gone.cancel()
    with suppress(asyncio.CancelledError):
        await gone

    assert (await stays, await work.ask()) == (b"0", b"0")


async def test_a_failure_is_told_and_not_remembered() -> None:
    """All waiting requests get the error, and the next request starts the work again."""
    work = Work(1.0)

    async def fail() -> bytes:
        raise OSError

    for _ in range(2):
        with pytest.raises(OSError):  # noqa: PT011 - it is its kind that counts
            await work.ask(make=fail)
    assert await work.ask() == b"0"


async def test_a_bounded_number_is_remembered() -> None:
    """The number of kept answers is bounded: for further queries the oldest are dropped."""
    work = Work(3.0)
    for question in range(100):
        await work.ask(question)
    work.seconds, work.now = 0.0, work.now - 150

    assert (await work.ask(99), await work.ask(0)) == (b"99", b"100")
