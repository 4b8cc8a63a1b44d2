"""Errors of ours that nobody foresaw: each is counted, and reported once for its place in the program.

What an error says may quote a visitor, and so may the last line of a traceback; where it happened does not.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from proxy.model.condition import ConditionBoard
from proxy.rules.faults import fault
from proxy.telemetry.metrics import Metrics

_LASTS_MS = 60 * 60_000


class FaultReporter:
    """Takes errors that nobody foresaw."""

    def __init__(self, conditions: ConditionBoard, metrics: Metrics) -> None:
        self._conditions = conditions
        self._metrics = metrics

    def report(self, error: BaseException | None, *, lost: str = "requests fail with 500") -> None:
        """Report where an error came from, and what is lost by it."""
        self.report_places([fault(error)] if error else ["unknown"], lost=lost)

    def in_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take what the event loop would log with a traceback; transports report a client's network here too.

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
        """Report errors that were caught and named already: see ``proxy.rules.faults.fault``."""
        for place in places:
            self._metrics.fault(place)
            self._conditions.report("fault", place, lost, lasts_ms=_LASTS_MS)
