"""A front process: public listener, rules, grouping and encryption; it stores everything through the back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from proxy.app import PublicParts, listen_to_public, report_faults
from proxy.config.address import Address
from proxy.edge.net.terms import shared_limits
from proxy.installation import now_ms
from proxy.queue.remote.front import RemoteQueue
from proxy.queue.remote.link import BackLink
from proxy.queue.remote.messages import Hello
from proxy.queue.sieve import Sieve
from proxy.telemetry.faults import FaultReporter
from proxy.telemetry.metrics import Metrics
from proxy.workers.relay import FrontConditions, FrontReports
from proxy.workers.shared import FrontResources

_BACK_S = 5.0
"""How many seconds a starting front waits for the back; then it serves without it, and answers events with 503."""


@asynccontextmanager
async def run_front(resources: FrontResources) -> AsyncIterator[Address]:
    """Serve the public listener until the context ends; yield its address."""
    shared = resources.shared
    async with AsyncExitStack() as stack:
        metrics, conditions = Metrics(), FrontConditions(now_ms)
        report_faults(stack, FaultReporter(conditions, metrics))
        link = BackLink(shared.address, Hello(shared.token, resources.number))
        # Each process makes its own sealer: copies of one that was made before the fork would all use the same nonces.
        sealer = shared.installation.sealer()
        queue = RemoteQueue(link, sealer, Sieve(shared.sieve), FrontReports(metrics, conditions))
        queue.start()
        stack.push_async_callback(queue.close)
        with suppress(TimeoutError):
            async with asyncio.timeout(_BACK_S):
                await link.here.wait()
        limits = shared_limits(shared.installation.settings.limits, shared.fronts)
        parts = PublicParts(shared.installation, queue, metrics, conditions, {}, has_writer=False)
        public, address = await listen_to_public(stack, parts, limits, resources.sockets)
        yield address
        public.stop_accepting()
