"""The state of a lane, as health and dashboard show it, and the conditions that it reports."""

from dataclasses import dataclass, replace
from typing import TypeAlias

from proxy.graph.error_text import graph_error_line, without_token
from proxy.model import condition_details as details
from proxy.model.condition import ConditionBoard
from proxy.model.verdict import Pause, Retry
from proxy.queue.contract import DeliveryState

# How long errors stay reported after a good answer, so that errors now and then are one condition.
_LASTS_MS = 10_000


@dataclass(frozen=True, slots=True)
class Cooldown:
    """Go on after ``seconds``, usually 0."""

    seconds: float


Wait: TypeAlias = Cooldown | Pause | Retry
"""What to wait for before the next attempt."""


class LaneState:
    """Failures in a row, and what Graph said last; reported to the board, kept by the queue for the next process."""

    def __init__(self, pixel: str, conditions: ConditionBoard, token: str = "") -> None:
        """Begin without failures.

        Args:
            pixel: Its id.
            conditions: Are told of ``pixel_paused`` and ``graph_errors``.
            token: The access token, which is never shown or kept, not even when Graph repeats it.
        """
        self._pixel = pixel
        self._conditions = conditions
        self._token = token
        self.current = DeliveryState()

    def resume(self, earlier: DeliveryState) -> None:
        """Go on from the state in which another process left the lane, and report it again."""
        self.current = earlier
        if earlier.failures:
            self._report()

    def fail(self, halt: Pause | Retry) -> None:
        """Count a failure, and report it."""
        paused = halt.reason if isinstance(halt, Pause) else ""
        goes_on = bool(paused) == bool(self.current.paused)
        self.current = DeliveryState(
            paused=paused,
            failures=self.current.failures + 1 if goes_on else 1,
            last_error=halt.reason,
            graph_error=without_token(halt.graph_error, self._token),
        )
        self._report()

    def wait_until(self, at: int) -> None:
        """Remember when the next attempt is due: server clock in milliseconds."""
        self.current = replace(self.current, retry_at=at)

    def recover(self) -> None:
        """Note a good answer: a pause is over at once, errors are over when none comes for a while."""
        if self.current.failures and not self.current.paused:
            self._conditions.report("graph_errors", self._pixel, self._detail(), lasts_ms=_LASTS_MS)
        self._conditions.clear("pixel_paused", self._pixel)
        self.current = DeliveryState()

    def reset(self) -> None:
        """Forget the state and clear its conditions: from now on another process leads, and reports them."""
        self._conditions.clear("pixel_paused", self._pixel)
        self._conditions.clear("graph_errors", self._pixel)
        self.current = DeliveryState()

    def _report(self) -> None:
        if self.current.paused:
            self._conditions.report("pixel_paused", self._pixel, self._detail())
            self._conditions.clear("graph_errors", self._pixel)
        else:
            self._conditions.report("graph_errors", self._pixel, self._detail())
            self._conditions.clear("pixel_paused", self._pixel)

    def _detail(self) -> str:
        return details.graph_failed(self.current.last_error, graph_error_line(self.current.graph_error))
