"""What a front tells the back beside events: what it counted, and what it found wrong."""

import secrets
from collections.abc import Callable

from proxy.model.condition import ConditionCode
from proxy.queue.remote.messages import Cleared, Counted, FrontReport, Reported
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics

_OF_THE_BACK: ConditionCode = "queue"
"""The back sees by itself whether its queue works, and a front only that it does not answer."""
LOST_NOTES = "lost_notes"
"""Stands among the names of counters for what was lost on the way to the ledger."""
_MOST_NEWS = 200
"""Conditions that are told in one report; the rest of a flood is left out."""


class FrontConditions(Conditions):
    """The board of a front: what is reported here appears on the back's, and in its log."""

    def __init__(self, now: Callable[[], int]) -> None:
        super().__init__(now, say=lambda _line: None)
        self._lasting: dict[tuple[ConditionCode, str], Reported] = {}
        self.news: dict[tuple[ConditionCode, str], Reported | Cleared] = {}
        """What the back does not know yet."""

    def report(self, code: ConditionCode, subject: str = "", detail: str = "", *, lasts_ms: int | None = None) -> None:
        """See ``Conditions``."""
        super().report(code, subject, detail, lasts_ms=lasts_ms)
        reported = Reported(code, subject, detail, lasts_ms)
        if code == _OF_THE_BACK or self._lasting.get((code, subject)) == reported:
            return
        if lasts_ms is None:
            self._lasting[code, subject] = reported
        self._add(reported)

    def clear(self, code: ConditionCode, subject: str = "") -> None:
        """See ``Conditions``."""
        super().clear(code, subject)
        if self._lasting.pop((code, subject), None):
            self._add(Cleared(code, subject))

    def renew(self) -> None:
        """Tell again what lasts: the back is a new one."""
        self.news.update(self._lasting)

    def _add(self, news: Reported | Cleared) -> None:
        key = (news.code, news.subject)
        if key in self.news or len(self.news) < _MOST_NEWS:
            self.news[key] = news


class FrontReports:
    """Implements ``ReportSource``."""

    def __init__(self, metrics: Metrics, conditions: FrontConditions) -> None:
        self._metrics = metrics
        self._conditions = conditions
        self._life = secrets.token_bytes(8)
        self._told: dict[tuple[str, tuple[str, ...]], float] = {}
        self._telling = dict(self._told)
        self._told_news: dict[tuple[ConditionCode, str], Reported | Cleared] = {}

    def report(self, lost_notes: int) -> FrontReport | None:
        """See ``ReportSource``."""
        self._telling = self._metrics.counters.counts() | {(LOST_NOTES, ()): lost_notes}
        self._told_news = dict(self._conditions.news)
        spans = [(key, self._told.get(key, 0), now) for key, now in self._telling.items()]
        counted = tuple(Counted(*key, since, now) for key, since, now in spans if now != since)
        news = self._told_news.values()
        if not counted and not news:
            return None
        reported = tuple(each for each in news if isinstance(each, Reported))
        return FrontReport(self._life, counted, reported, tuple(each for each in news if isinstance(each, Cleared)))

    def answered(self) -> None:
        """Take note that the back knows of the last report."""
        self._told = self._telling
        for key, news in self._told_news.items():
            if self._conditions.news.get(key) is news:
                del self._conditions.news[key]

    def renew(self) -> None:
        """Take note that the back may be a new one, which knows of no condition."""
        self._conditions.renew()
