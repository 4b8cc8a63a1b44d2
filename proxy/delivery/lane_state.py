"""How a lane fares: what health and dashboard show of it, and the conditions it reports."""

from dataclasses import dataclass, field
from typing import TypeAlias

from proxy.graph.error_text import told, without_token
from proxy.model.condition import ConditionBoard
from proxy.model.verdict import GraphError, Pause, Retry

# Errors that come now and then are one condition.
_LASTS_MS = 10_000


@dataclass(frozen=True, slots=True)
class Cooldown:
    """Go on after so many seconds, usually none."""

    seconds: float


Wait: TypeAlias = Cooldown | Pause | Retry
"""What to wait for before the next attempt."""


@dataclass(slots=True)
class LaneState:
    """Failures in a row, and what Graph said last."""

    pixel: str
    conditions: ConditionBoard
    token: str = ""
    """Never shown, not even when Graph repeats it."""
    paused: str = ""
    """Why, in the words of ``Pause.reason``; empty when the lane is not paused."""
    failures: int = 0
    last_error: str = ""
    """The reason of the last failure; empty after a good answer."""
    graph_error: GraphError = field(default_factory=GraphError)
    """What Graph said with it, without the token."""

    def fail(self, halt: Pause | Retry) -> None:
        """Count a failure, and report it."""
        paused = isinstance(halt, Pause)
        if paused != bool(self.paused):
            self.failures = 0
        self.failures += 1
        self.paused, self.last_error = halt.reason if paused else "", halt.reason
        self.graph_error = without_token(halt.graph_error, self.token)
        if paused:
            self.conditions.report("pixel_paused", self.pixel, self._detail())
            self.conditions.clear("graph_errors", self.pixel)
        else:
            self.conditions.report("graph_errors", self.pixel, self._detail())
            self.conditions.clear("pixel_paused", self.pixel)

    def _detail(self) -> str:
        graph_error = told(self.graph_error)
        return f"{self.last_error}; Meta says: {graph_error}" if graph_error else self.last_error

    def recover(self) -> None:
        """Note a good answer: a pause is over at once, errors are over when none comes for a while."""
        if self.failures and not self.paused:
            self.conditions.report("graph_errors", self.pixel, self._detail(), lasts_ms=_LASTS_MS)
        self.conditions.clear("pixel_paused", self.pixel)
        self.failures, self.paused, self.last_error, self.graph_error = 0, "", "", GraphError()
