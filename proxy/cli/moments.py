"""Moments as people write them on a command line: how long ago, or a date."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from proxy.installation import now_ms

_AGO = re.compile(r"([0-9]{1,6})\s*([smhdw])")
_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)
ACCEPTED = "24h, 7d and the like (s, m, h, d, w ago), or a date: 2026-11-01, 2026-11-01T14:03"


class MomentType(click.ParamType[int]):
    """A moment: ``24h`` ago, or a date with or without a time, by the clock of this machine unless it names a zone."""

    name = "moment"

    def __init__(self, now: Callable[[], int] = now_ms) -> None:
        """Take the clock, which tells milliseconds."""
        self._now = now

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the moment in milliseconds since 1970.

        Args:
            value: As it was written.
            param: Whose value it is.
            ctx: Of the command.
        """
        if isinstance(value, int):
            return value
        text = str(value).strip()
        if ago := _AGO.fullmatch(text.lower()):
            return max(0, self._now() - int(ago[1]) * _UNITS_MS[ago[2]])
        try:
            moment = datetime.fromisoformat(text).astimezone()
        except (ValueError, OverflowError, OSError):
            self.fail(f"{text[:30]!r}; accepted: {ACCEPTED}", param, ctx)
        return max(0, int(min(moment, _LATEST).timestamp() * 1000))
