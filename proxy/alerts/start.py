"""Alerts from their start to their end."""

import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from proxy.alerts.alerter import Alerter, Look
from proxy.alerts.figures import DayFigures
from proxy.alerts.keeping import StateFile, StateLane
from proxy.alerts.message import AlertSender
from proxy.alerts.receivers import receivers_of
from proxy.background import run_in_background
from proxy.config.alerts import AlertSettings
from proxy.config.schema import Settings
from proxy.model.condition import Condition, ConditionBoard
from proxy.queue.contract import Archive, Outbox


def sender_of(settings: AlertSettings) -> AlertSender:
    """Return the sender of this proxy's messages."""
    name = "".join(c for c in socket.gethostname() if c.isprintable())[:60] or "capi-proxy"
    return AlertSender(name, settings.dashboard_url, settings.time_zone)


class AlertQueue(Archive, Outbox, Protocol):
    """The part of the queue that alerts use."""


@asynccontextmanager
async def alerting(  # noqa: PLR0913 - what it looks at, and where it remembers
    settings: Settings,
    data_dir: Path,
    look: Look,
    known: Callable[[], Sequence[Condition]],
    *,
    queue: AlertQueue,
    board: ConditionBoard,
    now: Callable[[], int],
) -> AsyncIterator[Alerter | None]:
    """Send alerts until the context ends; yield the alerter, or None when no receiver is configured.

    Args:
        settings: The receivers, and what they are told.
        data_dir: Where this machine's state is stored.
        look: Returns the conditions after new checks.
        known: Returns the conditions that stand on the board, without new checks.
        queue: Has the figures of a summary; proxies that share it agree by it on the one that alerts for all.
        board: Is told when a receiver takes no messages.
        now: Server clock in milliseconds.
    """
    receivers = receivers_of(settings.alerts)
    if not receivers:
        yield None
        return
    alerter = Alerter(
        settings.alerts,
        receivers,
        look=look,
        known=known,
        figures=DayFigures(queue).lines,
        board=board,
        file=StateFile(data_dir),
        lane=StateLane(queue) if settings.queue.engine == "postgres" else None,
        sender=sender_of(settings.alerts),
        now=now,
    )
    try:
        async with run_in_background(alerter.run(), "alerts"):
            yield alerter
    finally:
        await alerter.close()
