"""The only file that wires: constructs every part, orders their lifetimes, closes in reverse.

Order: tables of the rules → lock of data_dir → queue → client session → lanes → listeners. So on stop the listeners
finish their requests while the queue still takes them, the lanes finish their attempts while the queue still settles,
and the queue closes last.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from proxy.config.address import Address
from proxy.config.load import Config
from proxy.delivery.client import GraphClient, graph_session
from proxy.delivery.expiry import Expiry
from proxy.delivery.lane import Lane
from proxy.delivery.lanes import LaneGroup
from proxy.delivery.lateness import LatenessCheck
from proxy.edge.admission import Admission
from proxy.edge.collect import CollectDoor
from proxy.edge.image import ImageDoor
from proxy.edge.net.connections import Terms, few_connections
from proxy.edge.net.descriptors import affordable_limits
from proxy.edge.net.listener import listen
from proxy.edge.public import Entry, Public
from proxy.edge.reading import RequestReader
from proxy.edge.storing import DecisionStore
from proxy.edge.tag.build import tag_of
from proxy.edge.turns import Turns
from proxy.installation import Installation, locked, now_ms, open_queue, require_c_parser
from proxy.operator.listener import Operator
from proxy.queue.sqlite.engine import LocalQueue
from proxy.rules import tables
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.faults import FaultReporter
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.queue_watch import QueueWatch
from proxy.telemetry.readiness import QueueCheck, Readiness

_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Running:
    """A proxy at work."""

    public: Address
    operator: Address
    queue: LocalQueue
    broken: asyncio.Future[None]
    """Fails when the queue must not be trusted any more; the process should end."""


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
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(FaultReporter(conditions, metrics).in_loop)
        stack.callback(loop.set_exception_handler, None)
        watch = QueueWatch()
        queue = open_queue(installation, now_ms, on_broken=watch.on_broken, conditions=conditions)
        stack.push_async_callback(queue.close)
        parts = _Parts(installation, queue, metrics, conditions)
        lanes = await _start_delivery(stack, parts)
        operator = await _start_operator(stack, parts, lanes)
        public, public_address = await _start_public(stack, parts, lanes)
        yield Running(public_address, operator, queue, watch.broken)
        public.accepting = False


class _Parts(NamedTuple):
    """What most parts share."""

    installation: Installation
    queue: LocalQueue
    metrics: Metrics
    conditions: Conditions


async def _start_delivery(stack: AsyncExitStack, parts: _Parts) -> LaneGroup:
    installation, queue, metrics, conditions = parts
    settings = installation.settings.graph
    session = await stack.enter_async_context(graph_session(settings.timeout))
    graph, chance = GraphClient(session, settings, now_ms, conditions), secrets.SystemRandom().random
    lanes = LaneGroup(
        Lane(pixel, queue=queue, graph=graph, metrics=metrics, conditions=conditions, now=now_ms, chance=chance)
        for pixel in installation.pixels()
    )
    lanes.start()
    stack.push_async_callback(lanes.stop, _GRACE_S)
    expiry = Expiry(lanes, queue=queue, metrics=metrics, conditions=conditions, now=now_ms)
    stack.push_async_callback(_cancelled, asyncio.create_task(expiry.run(), name="expiry"))
    return lanes


async def _start_operator(stack: AsyncExitStack, parts: _Parts, lanes: LaneGroup) -> Address:
    installation, queue, metrics, conditions = parts
    server, keys = installation.settings.server, installation.person_keys()
    lateness = LatenessCheck(lanes, queue=queue, conditions=conditions, now=now_ms)
    operator = Operator(
        server.operator_password.get_secret_value(),
        queue=queue,
        metrics=metrics,
        lanes=lanes,
        conditions=conditions,
        readiness=Readiness(conditions, [QueueCheck(queue, conditions), lateness]),
        now=now_ms,
        person_keys=keys,
    )
    terms = Terms("operator", few_connections(installation.settings.limits), conditions, metrics)
    return await listen(stack, operator.app(), server.operator_listen, terms)


async def _start_public(stack: AsyncExitStack, parts: _Parts, lanes: LaneGroup) -> tuple[Public, Address]:
    installation, queue, metrics, conditions = parts
    server, limits = installation.settings.server, affordable_limits(installation.settings.limits, conditions)
    admission = Admission(limits, fullness=queue.fullness, clock=time.monotonic, conditions=conditions, metrics=metrics)
    entry = Entry(
        installation.routes(),
        installation.policies(),
        {site.name: tag_of(site) for site in installation.settings.site},
        installation.settings.site,
        installation.trusted(),
        server.forwarding_header,
    )
    turns = Turns()
    reader = RequestReader(turns, now=now_ms, entropy=partial(secrets.randbits, 128))
    store = DecisionStore(queue, admission=admission, metrics=metrics, conditions=conditions, wake=lanes.wake)
    public = Public(
        entry,
        queue=queue,
        admission=admission,
        metrics=metrics,
        conditions=conditions,
        turns=turns,
        reader=reader,
        collect=CollectDoor(entry.policies, reader=reader, turns=turns, store=store),
        image=ImageDoor(entry.policies, reader=reader, store=store),
        now=now_ms,
    )
    terms = Terms("public", limits, conditions, metrics, entry.trusted, server.proxy_protocol)
    return public, await listen(stack, public.app(), server.listen, terms, drain=public.drain)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
