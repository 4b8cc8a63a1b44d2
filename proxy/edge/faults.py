"""Errors of ours while answering: told once for each place in the program, without what the error says.

What an error says may quote a visitor, and so may a traceback's last line; where it happened does not.
"""

import asyncio
import traceback
from pathlib import Path
from typing import Any

from proxy.edge.conditions import Conditions

_LASTS_MS = 60 * 60_000


class Faults:
    """Takes errors that nobody expected."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions

    def report(self, error: BaseException | None) -> None:
        """Say where an error came from, once in a while for each place."""
        self._conditions.report("fault", _place(error), "an error of ours while answering", lasts_ms=_LASTS_MS)

    def in_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take what the event loop would log with a traceback: transports report a client's network here too."""
        error = context.get("exception")
        if error is None:
            loop.default_exception_handler(context)
        elif not isinstance(error, OSError):
            self.report(error)


def _place(error: BaseException | None) -> str:
    """Return the kind of an error and the line that raised it; no word of a request."""
    name = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__) if error else []
    return f"{name} in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else name
