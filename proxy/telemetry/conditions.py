"""The board of what is wrong now: every part reports to it; readiness, the dashboard and the log read it.

A condition stands until it is cleared. One that was reported with ``lasts_ms``, for something that happens rather than
lasts, stands until it has not been reported for so long. The log has a line when a condition begins and when it is
cleared, however often it is reported in between.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from proxy.model.condition import Condition, ConditionCode

log = logging.getLogger(__name__)

# A stranger may cause conditions (an origin that is not listed), so their number is bounded for each code.
_MOST_SUBJECTS = 20


@dataclass(slots=True)
class _Entry:
    condition: Condition
    until: int | None


class Conditions:
    """The board of a running proxy; used from the event loop only."""

    def __init__(self, now: Callable[[], int], say: Callable[[str], None] = log.warning) -> None:
        """Begin without conditions.

        Args:
            now: Server clock in milliseconds.
            say: Called with a line for the log when a condition begins, and when it is cleared.
        """
        self._now = now
        self._say = say
        self._entries: dict[tuple[ConditionCode, str], _Entry] = {}

    def report(self, code: ConditionCode, subject: str = "", detail: str = "", *, lasts_ms: int | None = None) -> None:
        """Report that something is wrong, or still is.

        Args:
            code: The kind of the condition.
            subject: What it is about, such as a pixel; at most 20 subjects of each code are remembered.
            detail: See ``Condition.detail``; the latest one replaces the earlier.
            lasts_ms: For something that happens rather than lasts: for how many milliseconds it then counts as current.
        """
        now = self._now()
        self._expire(now)
        until = None if lasts_ms is None else now + lasts_ms
        entry = self._entries.get((code, subject))
        if entry is not None:
            entry.condition = replace(entry.condition, detail=detail)
            entry.until = until
        elif sum(reported == code for reported, _ in self._entries) < _MOST_SUBJECTS:
            condition = Condition(code, subject, detail, now)
            self._entries[code, subject] = _Entry(condition, until)
            self._say(str(condition))

    def clear(self, code: ConditionCode, subject: str = "") -> None:
        """Clear a condition that is over; does nothing if the condition does not stand."""
        if self._entries.pop((code, subject), None):
            self._say(f"{f'{code} {subject}'.rstrip()}: over")

    def current(self) -> list[Condition]:
        """Return the conditions that stand now: those that fail readiness first, then by age, the oldest first."""
        self._expire(self._now())
        conditions = [entry.condition for entry in self._entries.values()]
        return sorted(conditions, key=lambda condition: (not condition.failing, condition.since, condition.code))

    def _expire(self, now: int) -> None:
        over = [key for key, entry in self._entries.items() if entry.until is not None and entry.until <= now]
        for key in over:
            del self._entries[key]
