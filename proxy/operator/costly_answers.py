"""A cache of answers that took long, so that open pages of the dashboard leave the machine to the visitors.

An answer that is made quickly is not kept, so it is always up to date. One that took ``t`` seconds is kept for twenty
times as long, a minute at the most; and all who ask for it while it is being made wait for the same one.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_QUICK_S = 0.1
_TIMES, _MOST_S = 20, 60.0
# The most answers that are kept; each has some dozens of kilobytes.
_MOST_KEPT = 64


def seconds_to_keep(seconds: float) -> float:
    """Return for how many seconds an answer is kept that took ``seconds`` to make."""
    return min(_TIMES * seconds, _MOST_S) if seconds > _QUICK_S else 0.0


class CostlyAnswers(Generic[T]):
    """Answers by question, kept for as long as ``lasts`` says. Used on the event loop only."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        lasts: Callable[[float], float] = seconds_to_keep,
        most: int = _MOST_KEPT,
    ) -> None:
        """Begin without answers.

        Args:
            monotonic: A clock in seconds.
            lasts: Returns for how many seconds an answer is kept, from the seconds that it took to make.
            most: How many answers are kept.
        """
        self._monotonic = monotonic
        self._lasts = lasts
        self._most = most
        self._kept: dict[Hashable, tuple[float, T]] = {}
        self._under_way: dict[Hashable, asyncio.Task[T]] = {}

    async def get_or_make(self, question: Hashable, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the kept answer to a question, or make it; if one caller is cancelled, the others still get it.

        Args:
            question: The key of the answer.
            make: Makes the answer.
        """
        found = self._kept.get(question)
        if found and self._monotonic() < found[0]:
            return found[1]
        if not (task := self._under_way.get(question)):
            task = self._under_way[question] = asyncio.create_task(self._make_and_keep(question, make))
            task.add_done_callback(partial(self._forget, question))
        return await asyncio.shield(task)

    async def _make_and_keep(self, question: Hashable, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        began = self._monotonic()
        answer = await make()
        now = self._monotonic()
        if (seconds := self._lasts(now - began)) > 0:
            self._keep(question, now + seconds, answer)
        return answer

    def _keep(self, question: Hashable, until: float, answer: T) -> None:
        self._kept.pop(question, None)
        while len(self._kept) >= self._most:
            del self._kept[next(iter(self._kept))]
        self._kept[question] = until, answer

    def _forget(self, question: Hashable, task: asyncio.Task[T]) -> None:
        self._under_way.pop(question, None)
        # If no caller waits any more, asyncio would complain about an exception that nobody has fetched.
        task.cancelled() or task.exception()
