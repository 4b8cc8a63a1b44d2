"""Whether the proxy is ready: what stands on the board, after each part has looked at itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from proxy.model.condition import Condition
from proxy.queue.contract import Queue, QueueError
from proxy.telemetry.conditions import Conditions

Status: TypeAlias = Literal["ready", "degraded", "failing"]


class Check(Protocol):
    """A part that can be asked to look at itself; most parts report by themselves, when something happens."""

    async def check(self) -> None:
        """Report to the board what is wrong at this moment, and clear what is over."""


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the proxy at one moment."""

    status: Status
    conditions: Sequence[Condition]


class Readiness:
    """Answers whoever asks for the health of the proxy."""

    def __init__(self, board: Conditions, checks: Sequence[Check]) -> None:
        self._board = board
        self._checks = checks

    async def health(self) -> Health:
        """Return the health after all checks."""
        for part in self._checks:
            await part.check()
        conditions = self._board.current()
        failing = any(condition.failing for condition in conditions)
        return Health("failing" if failing else "degraded" if conditions else "ready", conditions)


class QueueCheck:
    """Whether the queue can be written."""

    def __init__(self, queue: Queue, board: Conditions) -> None:
        self._queue = queue
        self._board = board

    async def check(self) -> None:
        """Commit something small, and report or clear ``queue``."""
        try:
            await self._queue.ready()
        except QueueError as error:
            self._board.report("queue", detail=str(error))
        else:
            self._board.clear("queue")
