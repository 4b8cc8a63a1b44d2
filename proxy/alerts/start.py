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
from proxy.background import in_background
from proxy.config.alerts import AlertSettings
from proxy.config.schema import Settings
from proxy.model.condition import Condition, ConditionBoard
from proxy.queue.contract import Archive, Outbox


def sender_of(settings: AlertSettings) -> AlertSender:
    """Return what messages say of this proxy."""
    name = "".join(c for c in socket.gethostname() if c.isprintable())[:60] or "capi-proxy"
    return AlertSender(name, settings.dashboard_url, settings.time_zone)


class AlertQueue(Archive, Outbox, Protocol):
    """What alerts ask of the queue."""


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
    """Tell whoever is to be told until the context ends; None where nobody is.

    Args:
        settings: Who is told of what.
        data_dir: Where this machine's state rests.
        look: Returns the conditions, after a new look at everything.
        known: Returns those that stand on the board, without one.
        queue: Has the figures of a summary; where several proxies share it, they agree by it on who tells.
        board: Hears when a receiver takes nothing.
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
        async with in_background(alerter.run(), "alerts"):
            yield alerter
    finally:
        await alerter.close()
