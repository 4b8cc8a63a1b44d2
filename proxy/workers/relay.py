"""What a front reports to the back besides events: its counters and its conditions."""

import secrets
from collections.abc import Callable

from proxy.model.condition import ConditionCode
from proxy.queue.remote.messages import ConditionEnd, ConditionReport, CounterChange, FrontReport
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics

_OF_THE_BACK: ConditionCode = "queue"
"""The condition that fronts do not pass on: they see only that the back does not answer; it knows its queue itself."""
LOST_NOTES = "lost_notes"
"""The name of the counter of ledger rows that a front lost on their way to the back."""
_MOST_NEWS = 200
"""How many conditions may wait for the next report; further ones are dropped."""


class FrontConditions(Conditions):
    """The board of a front: conditions reported here appear on the back's board and in the back's log."""

    def __init__(self, now: Callable[[], int]) -> None:
        super().__init__(now, say=lambda _line: None)
        self._lasting: dict[tuple[ConditionCode, str], ConditionReport] = {}
        self.news: dict[tuple[ConditionCode, str], ConditionReport | ConditionEnd] = {}
        """Reported and cleared conditions that the back does not know yet."""

    def report(self, code: ConditionCode, subject: str = "", detail: str = "", *, lasts_ms: int | None = None) -> None:
        """See ``Conditions``."""
        super().report(code, subject, detail, lasts_ms=lasts_ms)
        reported = ConditionReport(code, subject, detail, lasts_ms)
        if code == _OF_THE_BACK or self._lasting.get((code, subject)) == reported:
            return
        if lasts_ms is None:
            self._lasting[code, subject] = reported
        self._add(reported)

    def clear(self, code: ConditionCode, subject: str = "") -> None:
        """See ``Conditions``."""
        super().clear(code, subject)
        if self._lasting.pop((code, subject), None):
            self._add(ConditionEnd(code, subject))

    def renew(self) -> None:
        """Report lasting conditions again, since the back may have been restarted."""
        self.news.update(self._lasting)

    def _add(self, news: ConditionReport | ConditionEnd) -> None:
        key = (news.code, news.subject)
        if key in self.news or len(self.news) < _MOST_NEWS:
            self.news[key] = news


class FrontReports:
    """Makes the reports of a front; implements ``ReportSource``."""

    def __init__(self, metrics: Metrics, conditions: FrontConditions) -> None:
        self._metrics = metrics
        self._conditions = conditions
        self._life = secrets.token_bytes(8)
        self._told: dict[tuple[str, tuple[str, ...]], float] = {}
        self._telling = dict(self._told)
        self._told_news: dict[tuple[ConditionCode, str], ConditionReport | ConditionEnd] = {}

    def report(self, lost_notes: int) -> FrontReport | None:
        """See ``ReportSource``."""
        self._telling = self._metrics.counters.counts() | {(LOST_NOTES, ()): lost_notes}
        self._told_news = dict(self._conditions.news)
        spans = [(key, self._told.get(key, 0), now) for key, now in self._telling.items()]
        counted = tuple(CounterChange(*key, since, now) for key, since, now in spans if now != since)
        news = self._told_news.values()
        if not counted and not news:
            return None
        reported = tuple(each for each in news if isinstance(each, ConditionReport))
        return FrontReport(
            self._life, counted, reported, tuple(each for each in news if isinstance(each, ConditionEnd))
        )

    def on_answered(self) -> None:
        """Note that the back has received the last report."""
        self._told = self._telling
        for key, news in self._told_news.items():
            if self._conditions.news.get(key) is news:
                del self._conditions.news[key]

    def on_new_back(self) -> None:
        """Report lasting conditions again: the back may have been restarted, and then knows none."""
        self._conditions.renew()
