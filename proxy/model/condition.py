"""Conditions: what can be wrong with a running proxy, for health, log, dashboard and alerts alike.

This module has only the codes. What they mean is explained in ``docs/operating.md`` and on the dashboard.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

ConditionCode: TypeAlias = Literal[
    # Storing
    "queue",
    "queue_filling",
    "disk_short",
    "database",
    "housekeeping",
    "ledger_incomplete",
    "order_id_conflict",
    # Delivering
    "pixel_paused",
    "pixel_stopped",
    "delivery_late",
    "graph_errors",
    "suspects_late",
    "pixel_not_configured",
    "dead_letters",
    "token_expiring",
    "graph_version",
    "clock",
    # Receiving
    "untrusted_forwarding",
    "proxy_protocol",
    "foreign_origin",
    "insecure_origin",
    "unknown_host",
    "connections_full",
    "address_full",
    "limited",
    "descriptors",
    "silence",
    "tag_not_seen",
    "pair_rate_fell",
    "id_reused",
    # The proxy itself
    "operator_password",
    "workers",
    "alert_not_sent",
    "fault",
]

FAILS_READINESS: frozenset[ConditionCode] = frozenset({"queue", "pixel_paused", "delivery_late"})
"""While one of these lasts, the proxy is not ready; with any other it is only degraded."""
OF_ALL_PROXIES: frozenset[ConditionCode] = frozenset({
    *("queue_filling", "order_id_conflict", "pixel_not_configured", "dead_letters", "graph_version", "pixel_stopped"),
    *("foreign_origin", "insecure_origin", "unknown_host", "silence", "tag_not_seen", "pair_rate_fell", "id_reused"),
})  # fmt: skip
"""Conditions that every proxy of a shared queue finds, so only one of them sends alerts; the others concern one machine
or lane."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something the owner should look at."""

    code: ConditionCode
    subject: str
    """What it is about: a pixel id, an origin; empty when it is about the proxy as a whole."""
    detail: str
    """A clause of figures, settings and error texts (condition_details.py); no contact data, token or body."""
    since: int
    """Server clock in milliseconds when it began."""

    @property
    def failing(self) -> bool:
        """Whether readiness fails because of this condition."""
        return self.code in FAILS_READINESS

    def __str__(self) -> str:
        """Return one line for the log and for ``reasons``."""
        name = f"{self.code} {self.subject}".rstrip()
        return f"{name}: {self.detail}" if self.detail else name


class ConditionBoard(Protocol):
    """Where every part reports what is wrong with it, and what no longer is."""

    def report(self, code: ConditionCode, subject: str = "", detail: str = "", *, lasts_ms: int | None = None) -> None:
        """Report that something is wrong, or is still wrong.

        Args:
            code: What is wrong.
            subject: See ``Condition.subject``.
            detail: See ``Condition.detail``.
            lasts_ms: For an incident rather than a lasting state: for how many milliseconds it counts as current.
        """

    def clear(self, code: ConditionCode, subject: str = "") -> None:
        """Report that a condition is over; clearing one that was never reported changes nothing."""
