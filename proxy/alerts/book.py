"""When a condition becomes an alert, and when it is over: once each, without flapping. No I/O, no clock.

A condition fires when it has stood for a while, and is over when it has been away for a while; one that comes back
before that counts as never gone. The book keeps receipts for each receiver, so that one that could not be reached is
told in one message what stands now and what is over, and no receiver is told anything twice.
"""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from proxy.alerts.state import MOST_MISSED, Alert, AlertState, Receipts, ToldAlert, new_alert
from proxy.config.alerts import AlertSettings
from proxy.model.condition import Condition, ConditionCode
from proxy.model.units import DAY_MS

_MOST_A_DAY: Final = 20
"""How many alerts of one code fire in a day; further ones are only on the dashboard."""
_MOST_BY_STRANGERS: Final = 3
FORGEABLE_CODES: Final[frozenset[ConditionCode]] = frozenset({"foreign_origin", "insecure_origin", "unknown_host"})
"""The codes whose subjects anybody can make up; of each, ``_MOST_BY_STRANGERS`` alerts fire in a day."""
_AFTER_START_MS: Final = 15 * 60_000
"""For so long after a restart earlier alerts do not end: some conditions are found again only with the next request."""


class News(NamedTuple):
    """What a receiver has not been told yet."""

    began: Sequence[Alert] = ()
    still: Sequence[ToldAlert] = ()
    """Alerts that it was told of before, and of which a reminder is due."""
    over: Sequence[ToldAlert] = ()
    missed: Sequence[ToldAlert] = ()

    def __bool__(self) -> bool:
        """Tell whether there is any news."""
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
    """Keeps the state of alerts up to date with the board."""

    def __init__(self, settings: AlertSettings, receivers: Collection[str], state: AlertState, started: int) -> None:
        """Continue from a state.

        Args:
            settings: Which conditions become alerts, and when.
            receivers: The keys of the receivers.
            state: The state as an earlier process left it.
            started: When this process started: server clock in milliseconds.
        """
        self._settings = settings
        self._receivers = receivers
        self._started = started
        self.state = state
        state.receipts = {key: state.receipts.get(key, Receipts()) for key in receivers}
        self._forget_unwanted()

    def update(self, conditions: Sequence[Condition], now: int) -> None:
        """Compare the alerts with the conditions that stand now."""
        wanted = [each for each in conditions if self._settings.wants(each.code, failing=each.failing)]
        alerts = self.state.alerts
        standing = {alert.key: alert for alert in (new_alert(condition, now) for condition in wanted)}
        for key, found in standing.items():
            self._note_standing(alerts.setdefault(key, found), found, now)
        for key in alerts.keys() - standing.keys():
            self._note_gone(alerts[key], now)

    def news(self, receiver: str, now: int) -> News:
        """Return what a receiver has not been told yet; alerts that fail readiness come first."""
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

    def note_taken(self, receiver: str, news: News, now: int) -> None:
        """Note that a receiver has taken news, even if alerts have changed while the message was under way.

        Args:
            receiver: The key of the receiver.
            news: The news as this book returned them.
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
        """Forget alerts that the settings now leave out; no receiver is told that they are over, as they may stand."""
        self.state.alerts = {key: alert for key, alert in self.state.alerts.items() if self._wants(alert)}
        for receipts in self.state.receipts.values():
            receipts.told = {key: told for key, told in receipts.told.items() if self._wants(told.alert)}
            receipts.missed = [told for told in receipts.missed if self._wants(told.alert)]

    def _wants(self, alert: Alert) -> bool:
        return self._settings.wants(alert.code, failing=alert.failing)

    def _note_standing(self, alert: Alert, found: Alert, now: int) -> None:
        alert.detail, alert.failing, alert.gone_at = found.detail, found.failing, 0
        alert.seen_at = min(alert.seen_at, now)  # the clock may step back
        if not alert.fired_at and now - alert.seen_at >= self._hold_ms(alert) and self._may_fire(alert.code, now):
            alert.fired_at = now
            for receipts in self.state.receipts.values():
                if earlier := receipts.told.get(alert.key):
                    earlier.ended_at = 0

    def _note_gone(self, alert: Alert, now: int) -> None:
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
        may = len(times) < (_MOST_BY_STRANGERS if code in FORGEABLE_CODES else _MOST_A_DAY)
        self.state.fired[code] = [*times, now] if may else times
        return may
