"""Answers that took long are given again for a while, so that open pages leave the machine to the visitors.

An answer that was made in no time is made anew each time, and always tells what is. One that took ``t`` seconds is
given again for twenty times as long, a minute at the most, and however many ask for it, it is made once at a time.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any

_QUICK_S = 0.1
_TIMES, _MOST_S = 20, 60.0
# Answers that are remembered; each has some dozens of kilobytes.
_MOST_KEPT = 64


class CostlyAnswers:
    """Used on the event loop only."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._kept: dict[Hashable, tuple[float, bytes]] = {}
        self._under_way: dict[Hashable, asyncio.Task[bytes]] = {}

    async def of(self, question: Hashable, make: Callable[[], Coroutine[Any, Any, bytes]]) -> bytes:
        """Return the answer to a question; whoever goes away does not take it from the others.

        Args:
            question: What is asked.
            make: Makes the answer.
        """
        until, answer = self._kept.get(question, (0.0, b""))
        if self._monotonic() < until:
            return answer
        if not (task := self._under_way.get(question)):
            task = self._under_way[question] = asyncio.create_task(self._made(question, make))
            task.add_done_callback(partial(self._forget, question))
        return await asyncio.shield(task)

    async def _made(self, question: Hashable, make: Callable[[], Coroutine[Any, Any, bytes]]) -> bytes:
        began = self._monotonic()
        answer = await make()
        now = self._monotonic()
        if now - began > _QUICK_S:
            self._keep(question, now + min(_TIMES * (now - began), _MOST_S), answer)
        return answer

    def _keep(self, question: Hashable, until: float, answer: bytes) -> None:
        self._kept.pop(question, None)
        while len(self._kept) >= _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[question] = until, answer

    def _forget(self, question: Hashable, task: asyncio.Task[bytes]) -> None:
        self._under_way.pop(question, None)
        # Nobody may wait for it any more.
        task.cancelled() or task.exception()
