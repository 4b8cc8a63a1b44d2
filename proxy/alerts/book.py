"""When a condition becomes an alert, and when it is over: once each, without flapping. No I/O, no clock.

A condition fires when it has stood for a while, and is over when it has been away for a while; what comes back before
that never went. Each receiver has receipts of its own, so that whoever could not be reached hears what stands now, and
what is over, in one message, and nobody hears anything twice.
"""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from proxy.alerts.state import MOST_MISSED, Alert, AlertState, Receipts, ToldAlert, seen
from proxy.config.alerts import AlertSettings
from proxy.model.condition import Condition, ConditionCode
from proxy.model.units import DAY_MS

_MOST_A_DAY: Final = 20
"""Alerts of one code in a day; the rest is on the dashboard alone."""
_MOST_BY_STRANGERS: Final = 3
BY_STRANGERS: Final[frozenset[ConditionCode]] = frozenset({"foreign_origin", "insecure_origin", "unknown_host"})
"""Whose subjects anybody can make up."""
_AFTER_START_MS: Final = 15 * 60_000
"""What stood before a restart has so long to be found again: some conditions show themselves with the next request."""


class News(NamedTuple):
    """What a receiver has not heard yet."""

    began: Sequence[Alert] = ()
    still: Sequence[ToldAlert] = ()
    """Told of before, and due to be told of again."""
    over: Sequence[ToldAlert] = ()
    missed: Sequence[ToldAlert] = ()

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return any(self)

    def joined(self, more: "News") -> "News":
        """Return these and more news as one."""
        return News(
            [*self.began, *more.began],
            [*self.still, *more.still],
            [*self.over, *more.over],
            [*self.missed, *more.missed],
        )


class AlertBook:
    """Keeps a state up to date with the board."""

    def __init__(self, settings: AlertSettings, receivers: Collection[str], state: AlertState, started: int) -> None:
        """Go on from a state.

        Args:
            settings: What becomes an alert, and when.
            receivers: The keys of those that are told.
            state: As an earlier process left it.
            started: Server clock in milliseconds.
        """
        self._settings = settings
        self._receivers = receivers
        self._started = started
        self.state = state
        state.receipts = {key: state.receipts.get(key, Receipts()) for key in receivers}
        self._forget_unwanted()

    def look(self, conditions: Sequence[Condition], now: int) -> None:
        """Compare the alerts with the conditions that stand now."""
        wanted = [each for each in conditions if self._settings.wants(each.code, failing=each.failing)]
        alerts = self.state.alerts
        standing = {alert.key: alert for alert in (seen(condition, now) for condition in wanted)}
        for key, found in standing.items():
            self._stands(alerts.setdefault(key, found), found, now)
        for key in alerts.keys() - standing.keys():
            self._is_away(alerts[key], now)

    def news(self, receiver: str, now: int) -> News:
        """Return what a receiver has not heard yet, what fails readiness first."""
        receipts, repeat_ms = self.state.receipts[receiver], self._settings.repeat_hours * 3_600_000
        fired = sorted(
            (alert for alert in self.state.alerts.values() if alert.fired_at),
            key=lambda alert: (not alert.failing, alert.since, alert.key),
        )
        told = receipts.told
        due = [
            ToldAlert(alert, earlier.at)
            for alert in fired
            if (earlier := told.get(alert.key)) and now - earlier.at >= repeat_ms
        ]
        return News(
            [alert for alert in fired if alert.key not in told],
            due if repeat_ms else [],
            [each for each in told.values() if each.ended_at],
            list(receipts.missed),
        )

    def heard(self, receiver: str, news: News, now: int) -> None:
        """Take note that a receiver has taken news, whatever happened while they were on their way.

        Args:
            receiver: Its key.
            news: As this book gave them.
            now: Server clock in milliseconds.
        """
        receipts = self.state.receipts[receiver]
        for alert in (*news.began, *(each.alert for each in news.still)):
            is_over = self.state.alerts.get(alert.key) is not alert
            receipts.told[alert.key] = ToldAlert(alert, now, now if is_over else 0)
            receipts.missed = [each for each in receipts.missed if each.alert is not alert]
        for each in news.over:
            if receipts.told.get(each.alert.key) is each and each.ended_at:
                del receipts.told[each.alert.key]
        receipts.missed = [each for each in receipts.missed if not any(each is told for told in news.missed)]

    def _forget_unwanted(self) -> None:
        """Forget what the settings have left out since: it may stand still, so nobody is told that it is over."""
        self.state.alerts = {key: alert for key, alert in self.state.alerts.items() if self._wants(alert)}
        for receipts in self.state.receipts.values():
            receipts.told = {key: told for key, told in receipts.told.items() if self._wants(told.alert)}
            receipts.missed = [told for told in receipts.missed if self._wants(told.alert)]

    def _wants(self, alert: Alert) -> bool:
        return self._settings.wants(alert.code, failing=alert.failing)

    def _stands(self, alert: Alert, found: Alert, now: int) -> None:
        alert.detail, alert.failing, alert.gone_at = found.detail, found.failing, 0
        alert.seen_at = min(alert.seen_at, now)  # the clock may step back
        if not alert.fired_at and now - alert.seen_at >= self._hold_ms(alert) and self._may_fire(alert.code, now):
            alert.fired_at = now
            for receipts in self.state.receipts.values():
                if earlier := receipts.told.get(alert.key):
                    earlier.ended_at = 0

    def _is_away(self, alert: Alert, now: int) -> None:
        alert.gone_at = min(alert.gone_at or now, now)
        settings = self._settings
        wait_ms = settings.clear_seconds * 1000 if alert.fired_at else self._hold_ms(alert)
        is_new = 0 <= now - self._started < _AFTER_START_MS
        if now - alert.gone_at < wait_ms or (alert.fired_at and is_new):
            return
        del self.state.alerts[alert.key]
        for receipts in self.state.receipts.values() if alert.fired_at else ():
            if earlier := receipts.told.get(alert.key):
                earlier.ended_at = now
            else:
                receipts.missed = [*receipts.missed, ToldAlert(alert, 0, now)][-MOST_MISSED:]

    def _hold_ms(self, alert: Alert) -> int:
        settings = self._settings
        return (settings.failing_after_seconds if alert.failing else settings.after_seconds) * 1000

    def _may_fire(self, code: ConditionCode, now: int) -> bool:
        times = [at for at in self.state.fired.get(code, ()) if now - DAY_MS < at <= now]
        may = len(times) < (_MOST_BY_STRANGERS if code in BY_STRANGERS else _MOST_A_DAY)
        self.state.fired[code] = [*times, now] if may else times
        return may
