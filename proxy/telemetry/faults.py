"""Unexpected errors of ours: each is counted, and reported as a condition for its place in the program.

Only the place is told: the text of an error, and so the last line of a traceback, may quote a visitor.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from proxy.model.condition import ConditionBoard
from proxy.rules.faults import fault
from proxy.telemetry.metrics import Metrics

_LASTS_MS = 60 * 60_000


class FaultReporter:
    """Counts and reports unexpected errors."""

    def __init__(self, conditions: ConditionBoard, metrics: Metrics) -> None:
        self._conditions = conditions
        self._metrics = metrics

    def report(self, error: BaseException | None, *, lost: str = "requests fail with 500") -> None:
        """Report where an error came from, and in words what is lost because of it."""
        self.report_places([fault(error)] if error else ["unknown"], lost=lost)

    def handle_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle errors that the event loop would log with a traceback; network errors of clients are ignored.

        Args:
            loop: The event loop.
            context: See ``loop.call_exception_handler``.
        """
        error = context.get("exception")
        if error is None:
            loop.default_exception_handler(context)
        elif not isinstance(error, OSError):
            self.report(error, lost="a task of the proxy ended")

    def report_places(self, places: Iterable[str], *, lost: str) -> None:
        """Report errors that were caught already, each by its place as ``proxy.rules.faults.fault`` names it."""
        for place in places:
            self._metrics.fault(place)
            self._conditions.report("fault", place, lost, lasts_ms=_LASTS_MS)
