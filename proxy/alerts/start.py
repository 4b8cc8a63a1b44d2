"""Alerts from their start to their end."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from proxy.alerts.alerter import Alerter, Figures, Look
from proxy.alerts.keeping import StateFile, StateLane
from proxy.alerts.message import AlertSender
from proxy.alerts.receivers import receivers_of
from proxy.config.alerts import AlertSettings
from proxy.model.condition import ConditionBoard
from proxy.queue.contract import Outbox


def sender_of(settings: AlertSettings) -> AlertSender:
    """Return what messages say of this proxy."""
    name = "".join(c for c in socket.gethostname() if c.isprintable())[:60] or "capi-proxy"
    return AlertSender(name, settings.dashboard_url, settings.time_zone)


@asynccontextmanager
async def alerting(  # noqa: PLR0913 - what it looks at, and where it remembers
    settings: AlertSettings,
    data_dir: Path,
    *,
    look: Look,
    figures: Figures,
    board: ConditionBoard,
    shared: Outbox | None,
    now: Callable[[], int],
) -> AsyncIterator[Alerter | None]:
    """Tell whoever is to be told until the context ends; None where nobody is.

    Args:
        settings: Who is told of what.
        data_dir: Where this machine's state rests.
        look: Returns the conditions.
        figures: Returns what a summary says.
        board: Hears when a receiver takes nothing.
        shared: The queue, where several proxies share it.
        now: Server clock in milliseconds.
    """
    receivers = receivers_of(settings)
    if not receivers:
        yield None
        return
    alerter = Alerter(
        settings,
        receivers,
        look=look,
        figures=figures,
        board=board,
        file=StateFile(data_dir),
        lane=StateLane(shared) if shared else None,
        sender=sender_of(settings),
        now=now,
    )
    task = asyncio.create_task(alerter.run(), name="alerts")
    try:
        yield alerter
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await alerter.close()
