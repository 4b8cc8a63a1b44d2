"""Whether the proxy is ready: the conditions on the board, after each part was asked to check itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from proxy.model.condition import Condition
from proxy.queue.contract import Lifetime, QueueError
from proxy.telemetry.conditions import Conditions

Status: TypeAlias = Literal["ready", "degraded", "failing"]


class Check(Protocol):
    """A part that can be asked to check itself; most parts report on their own when something happens."""

    async def check(self) -> None:
        """Report to the board what is wrong at this moment, and clear what is over."""


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the proxy at one moment."""

    status: Status
    conditions: Sequence[Condition]


class Readiness:
    """Tells the health of the proxy."""

    def __init__(self, conditions: Conditions, checks: Sequence[Check]) -> None:
        self._conditions = conditions
        self._checks = checks

    def known_conditions(self) -> Sequence[Condition]:
        """Return the conditions that stand on the board, without new checks."""
        return self._conditions.current()

    async def conditions(self) -> Sequence[Condition]:
        """Return the conditions that stand, after all checks."""
        return (await self.health()).conditions

    async def health(self) -> Health:
        """Return the health after all checks."""
        for part in self._checks:
            await part.check()
        return self.known_health()

    def known_health(self) -> Health:
        """Return the health by the conditions on the board, without new checks."""
        current = self._conditions.current()
        failing = any(condition.failing for condition in current)
        return Health("failing" if failing else "degraded" if current else "ready", current)


class QueueCheck:
    """Checks whether the queue can be written."""

    def __init__(self, queue: Lifetime, conditions: Conditions) -> None:
        self._queue = queue
        self._conditions = conditions

    async def check(self) -> None:
        """Commit something small, and report or clear ``queue``."""
        try:
            await self._queue.ready()
        except QueueError as error:
            self._conditions.report("queue", detail=str(error))
        else:
            self._conditions.clear("queue")
