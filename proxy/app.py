"""The only file that wires: constructs every part, orders their lifetimes, closes in reverse.

Order: tables of the rules → lock of data_dir → queue → lanes → listeners. So on stop the listeners finish requests
while the queue still takes them, the lanes finish attempts while it still settles, and the queue closes last.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from proxy.config.address import Address
from proxy.config.load import Config
from proxy.delivery.lanes import LaneGroup
from proxy.delivery.lateness import LatenessCheck
from proxy.delivery.start import delivering
from proxy.edge.net.application import application
from proxy.edge.net.descriptors import affordable_limits
from proxy.edge.net.listener import listen
from proxy.edge.net.plain_http import PlainPosts
from proxy.edge.net.terms import FastWay, Terms, few_connections
from proxy.edge.public import Entry, Public
from proxy.edge.random_bits import random_numbers
from proxy.installation import Installation, locked, now_ms, open_queue, require_c_parser
from proxy.operator.listener import Operator
from proxy.queue.contract import WholeQueue
from proxy.rules import tables
from proxy.rules.request.routes import Door
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.faults import FaultReporter
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.queue_watch import QueueWatch
from proxy.telemetry.readiness import QueueCheck, Readiness


class Running(NamedTuple):
    """A proxy at work."""

    public: Address
    operator: Address
    queue: WholeQueue
    broken: asyncio.Future[None]
    """Fails when the queue must not be trusted any more; the process should end."""


class _Parts(NamedTuple):
    installation: Installation
    queue: WholeQueue
    metrics: Metrics
    conditions: Conditions


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Running]:
    """Run the proxy of a configuration until the context ends, then stop it in order.

    Raises:
        UnsafeInstallationError: when this Python cannot run it safely.
        DataDirBusyError: when another process works in data_dir.
        QueueBrokenError: when the queue cannot be opened.
        OSError: when an address cannot be listened on.
    """
    require_c_parser()
    tables.prepare()
    async with AsyncExitStack() as stack:
        installation = stack.enter_context(locked(config))
        metrics, conditions = Metrics(), Conditions(now_ms)
        asyncio.get_running_loop().set_exception_handler(FaultReporter(conditions, metrics).in_loop)
        stack.callback(asyncio.get_running_loop().set_exception_handler, None)
        watch = QueueWatch()
        queue = await open_queue(installation, now_ms, on_broken=watch.on_broken, conditions=conditions)
        stack.push_async_callback(queue.close)
        parts = _Parts(installation, queue, metrics, conditions)
        lanes = await stack.enter_async_context(_delivery(parts))
        operator = await _listen_to_operator(stack, parts, lanes)
        public, public_address = await _listen_to_public(stack, parts, lanes)
        yield Running(public_address, operator, queue, watch.broken)
        public.stop_accepting()


def _delivery(parts: _Parts) -> AbstractAsyncContextManager[LaneGroup]:
    installation, queue, metrics, conditions = parts
    pixels, graph, chance = installation.pixels(), installation.settings.graph, secrets.SystemRandom().random
    return delivering(pixels, graph, queue=queue, metrics=metrics, conditions=conditions, now=now_ms, chance=chance)


async def _listen_to_operator(stack: AsyncExitStack, parts: _Parts, lanes: LaneGroup) -> Address:
    installation, queue, metrics, conditions = parts
    server, keys = installation.settings.server, installation.person_keys()
    late = LatenessCheck(lanes, queue=queue, conditions=conditions, now=now_ms)
    operator = Operator(
        server.operator_password.get_secret_value(),
        queue=queue,
        metrics=metrics,
        lanes=lanes,
        conditions=conditions,
        readiness=Readiness(conditions, [QueueCheck(queue, conditions), late]),
        now=now_ms,
        person_keys=keys,
    )
    terms = Terms("operator", few_connections(installation.settings.limits), conditions, metrics)
    return await listen(stack, operator.app(), server.operator_listen, terms)


async def _listen_to_public(stack: AsyncExitStack, parts: _Parts, lanes: LaneGroup) -> tuple[Public, Address]:
    installation, queue, metrics, conditions = parts
    settings, trusted = installation.settings, installation.trusted()
    server, limits = settings.server, affordable_limits(settings.limits, conditions)
    entry = Entry(installation.routes(), installation.policies(), settings.site, trusted, server.forwarding_header)
    public = Public(
        entry,
        limits,
        queue=queue,
        metrics=metrics,
        conditions=conditions,
        wakes=lanes.wakes,
        now=now_ms,
        clock_ns=time.time_ns,
        random_numbers=random_numbers(),
    )
    fast = FastWay(PlainPosts(entry.routes.paths(Door.COLLECT)), public.answer) if server.fast_ingest else None
    terms = Terms("public", limits, conditions, metrics, trusted, server.proxy_protocol, fast)
    return public, await listen(stack, application(public.answer), server.listen, terms, drain=public.drain)
