"""Errors of ours while answering: counted, and told once for each place in the program, without what the error says.

What an error says may quote a visitor, and so may a traceback's last line; where it happened does not.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from proxy.rules.faults import fault
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics

_LASTS_MS = 60 * 60_000


class Faults:
    """Takes errors that nobody expected."""

    def __init__(self, conditions: Conditions, metrics: Metrics) -> None:
        self._conditions = conditions
        self._metrics = metrics

    def report(self, error: BaseException | None, *, lost: str = "requests fail with 500") -> None:
        """Say where an error came from, once in a while for each place, and what is lost by it."""
        self.tell([fault(error)] if error else ["unknown"], lost=lost)

    def in_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take what the event loop would log with a traceback: transports report a client's network here too."""
        error = context.get("exception")
        if error is None:
            loop.default_exception_handler(context)
        elif not isinstance(error, OSError):
            self.report(error, lost="a task of the proxy ended")

    def tell(self, places: Iterable[str], *, lost: str) -> None:
        """Do so for errors that were caught and named already."""
        for place in places:
            self._metrics.fault(place)
            self._conditions.report("fault", place, lost, lasts_ms=_LASTS_MS)
