"""Moments as people write them on a command line: how long ago, or a date."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_AGO = re.compile(r"([0-9]{1,6})\s*([smhdw])")
_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)
_TODAY = re.compile(r"\d{1,2}:\d{2}(:\d{2})?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
ACCEPTED = "24h, 7d and the like (s, m, h, d, w ago), or a date or time: 2026-11-01, 2026-11-01T14:03, 14:03"


class MomentType(click.ParamType[int]):
    """A moment: ``24h`` ago, or a date with or without a time, by the clock of this machine unless it names a zone."""

    name = "moment"

    def __init__(self, *, now: Any = None, is_end: bool = False) -> None:
        """Take the clock.

        Args:
            now: Returns the current time in milliseconds; None: the clock of this machine.
            is_end: Whether a date alone means the end of that day.
        """
        self._is_end = is_end
        self._now = now or (lambda: int(datetime.now(UTC).timestamp() * 1000))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the moment in milliseconds since 1970.

        Args:
            value: The text that was written.
            param: The option it was written for.
            ctx: The context of the command.
        """
        if isinstance(value, int):
            return value
        text = str(value).strip()
        if ago := _AGO.fullmatch(text.lower()):
            return max(0, int(self._now()) - int(ago[1]) * _UNITS_MS[ago[2]])
        try:
            moment = self._written(text).astimezone()
        except (ValueError, OverflowError, OSError):
            self.fail(f"{text[:30]!r}; accepted: {ACCEPTED}", param, ctx)
        return max(0, int(min(moment, _LATEST).timestamp() * 1000))

    def _written(self, text: str) -> datetime:
        """Return the moment that a text means; a time alone is one of today.

        Raises:
            ValueError: when the text is no moment.
        """
        if _TODAY.fullmatch(text):
            today = datetime.fromtimestamp(int(self._now()) / 1000, UTC).astimezone().date()
            return datetime.fromisoformat(f"{today}T{text.rjust(len(text) + (text[1] == ':'), '0')}")
        moment = datetime.fromisoformat(text)
        return moment + timedelta(days=1) if self._is_end and _DATE.fullmatch(text) else moment
