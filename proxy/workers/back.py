"""The back process: queue, delivery, operator listener; fronts reach it by a unix socket."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import NamedTuple

from proxy.app import deliver_events, listen_to_operator, open_parts
from proxy.config.address import Address
from proxy.edge.net.descriptors import affordable_limits
from proxy.queue.contract import QueueError
from proxy.queue.remote.back import Back
from proxy.queue.remote.taker import GroupTaker
from proxy.queue.sieve import Sieve
from proxy.telemetry.queue_watch import QueueWatch
from proxy.workers.shared import Shared
from proxy.workers.watch import ConnectedFronts

_FRONTS_S = 30.0
"""How many seconds fronts have for their last requests once the back begins to stop."""


class RunningBack(NamedTuple):
    """A running back process."""

    operator: Address
    broken: asyncio.Future[None]
    """Fails when the queue must not be trusted any more; the process should end."""


@asynccontextmanager
async def run_back(shared: Shared) -> AsyncIterator[RunningBack]:
    """Own the queue until the context ends; then serve the fronts' last requests before the queue closes.

    Raises:
        QueueError: when the queue cannot be opened.
        OSError: when an address cannot be listened on.
    """
    async with AsyncExitStack() as stack:
        watch = QueueWatch()
        parts = await open_parts(stack, shared.installation, watch, Sieve(shared.sieve))
        affordable_limits(shared.installation.settings.limits, parts.conditions)
        queue = parts.queue
        if not isinstance(queue, GroupTaker):
            raise QueueError("this engine takes no events of front processes (server.workers)")
        at_work = await stack.enter_async_context(deliver_events(parts))
        fronts = ConnectedFronts(shared.fronts, parts.metrics, parts.conditions)
        operator = await listen_to_operator(stack, parts, at_work, [fronts])
        door = Back(queue, shared.token, watch=fronts, wake=partial(_wake, at_work.lanes.wakes))
        await door.start(shared.address)
        stack.push_async_callback(door.close, _FRONTS_S)
        yield RunningBack(operator, watch.broken)


def _wake(wakes: Mapping[str, Callable[[], None]], pixels: Collection[str]) -> None:
    for pixel in pixels:
        if wake := wakes.get(pixel):
            wake()
