"""What alerts remember across a restart: which conditions fired, and what each receiver was told of them."""

from typing import Final

import msgspec

from proxy.model.condition import Condition, ConditionCode

MOST_MISSED: Final = 20


class Alert(msgspec.Struct, kw_only=True):
    """A condition that has become an alert, or may do so; all times are of the server's clock, in milliseconds."""

    code: ConditionCode
    subject: str
    detail: str
    since: int
    failing: bool
    seen_at: int
    """When the condition was first seen."""
    gone_at: int = 0
    """Since when it has not been seen; 0 while it stands."""
    fired_at: int = 0
    """When it had stood long enough to become an alert; 0 before."""

    @property
    def key(self) -> str:
        """The code and the subject, as one text."""
        return f"{self.code} {self.subject}"


class ToldAlert(msgspec.Struct):
    """An alert that a receiver was told of; ``at`` is when, 0 if it was not."""

    alert: Alert
    at: int
    ended_at: int = 0
    """When the alert was over, which the receiver has not been told yet; 0 while it stands."""


class Receipts(msgspec.Struct):
    """What a receiver has been told."""

    told: dict[str, ToldAlert] = {}
    """By the key of the alert."""
    missed: list[ToldAlert] = []
    """Alerts that fired and were over before the receiver could be told: the last 20."""


class AlertState(msgspec.Struct):
    """What a book of alerts remembers."""

    alerts: dict[str, Alert] = {}
    """By key."""
    receipts: dict[str, Receipts] = {}
    """By the key of the receiver."""
    fired: dict[str, list[int]] = {}
    """By code: when alerts fired within the last day."""
    summaries: dict[str, str] = {}
    """By the key of the receiver: the day of the last summary."""


def encoded(state: AlertState) -> bytes:
    """Return a state in the form in which it is stored."""
    return msgspec.json.encode(state)


def decoded(text: bytes) -> AlertState:
    """Return a stored state; an empty one when it cannot be decoded, so that alerts go on."""
    try:
        return msgspec.json.decode(text, type=AlertState)
    except msgspec.MsgspecError:
        return AlertState()


def new_alert(condition: Condition, now: int) -> Alert:
    """Return the alert of a condition that is seen for the first time."""
    return Alert(
        code=condition.code,
        subject=condition.subject,
        detail=condition.detail,
        since=condition.since,
        failing=condition.failing,
        seen_at=now,
    )
