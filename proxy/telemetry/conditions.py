"""What is wrong now: parts report conditions by code and subject; readiness, the dashboard and the log read them.

A condition stands until it is cleared, or, when it was reported as a thing that happens rather than a state, until it
has not happened for ``lasts_ms``. The log has one line when a condition begins, whatever is reported while it stands.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

log = logging.getLogger(__name__)

# A stranger may cause conditions (an origin that is not listed), so their number is bounded for each code.
_MOST_SUBJECTS = 20


@dataclass(frozen=True, slots=True)
class Condition:
    """Something the owner should look at; the words for people live in the page and the docs."""

    code: str
    subject: str
    """What it is about: a pixel id, an origin; empty when it is about the proxy as a whole."""
    detail: str
    since: int
    """Server clock in milliseconds when it began."""
    failing: bool = False
    """True when readiness fails for it; otherwise the proxy is only degraded."""

    def __str__(self) -> str:
        """Return one line for the log and for ``reasons``."""
        name = f"{self.code} {self.subject}".rstrip()
        return f"{name}: {self.detail}" if self.detail else name


@dataclass(slots=True)
class _Entry:
    condition: Condition
    until: int | None


class Conditions:
    """The board of current conditions; used from the event loop only."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._entries: dict[tuple[str, str], _Entry] = {}

    def report(
        self, code: str, subject: str = "", detail: str = "", *, failing: bool = False, lasts_ms: int | None = None
    ) -> None:
        """Say that something is wrong, or goes on being wrong.

        Args:
            code: A fixed word, documented in ``docs/operating.md``.
            subject: What it is about; of each code at most 20 subjects are remembered.
            detail: Plain words that hold no contact data, token or body.
            failing: Whether readiness fails for it.
            lasts_ms: For a thing that happens rather than a state: how long it counts as current afterwards.
        """
        now = self._now()
        self._expire(now)
        until = None if lasts_ms is None else now + lasts_ms
        entry = self._entries.get((code, subject))
        if entry is not None:
            entry.condition = replace(entry.condition, detail=detail, failing=failing)
            entry.until = until
        elif sum(known == code for known, _ in self._entries) < _MOST_SUBJECTS:
            condition = Condition(code, subject, detail, now, failing)
            self._entries[code, subject] = _Entry(condition, until)
            log.warning("%s", condition)

    def clear(self, code: str, subject: str = "") -> None:
        """Say that it is over; clearing what was never reported changes nothing."""
        if self._entries.pop((code, subject), None):
            log.warning("%s: over", f"{code} {subject}".rstrip())

    def current(self) -> list[Condition]:
        """Return the conditions of this moment, failing ones first, then the oldest."""
        self._expire(self._now())
        conditions = [entry.condition for entry in self._entries.values()]
        return sorted(conditions, key=lambda condition: (not condition.failing, condition.since, condition.code))

    def _expire(self, now: int) -> None:
        over = [key for key, entry in self._entries.items() if entry.until is not None and entry.until <= now]
        for key in over:
            del self._entries[key]
