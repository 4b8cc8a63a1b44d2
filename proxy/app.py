"""The wiring of one process: makes every part in order and closes them in reverse (several processes: ``workers/``).

Order: tables of the rules → lock of data_dir → queue → lanes → listeners. So on stop the listeners finish requests
while the queue still takes them, the lanes finish attempts while it still settles, and the queue closes last.

More than 250 lines: one file shows which part is given to which.
"""

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

from proxy import __version__
from proxy.alerts.start import alerting
from proxy.config.address import Address
from proxy.config.load import Config
from proxy.config.schema import LimitSettings
from proxy.delivery.lateness import LatenessCheck
from proxy.delivery.start import Delivery, run_delivery
from proxy.edge.net.application import application
from proxy.edge.net.descriptors import affordable_limits
from proxy.edge.net.listener import listen
from proxy.edge.net.plain_http import PlainPosts
from proxy.edge.net.terms import FastWay, Terms, few_connections
from proxy.edge.probe import ProbeDoor
from proxy.edge.public import PublicConfig, PublicRouter
from proxy.edge.random_bits import random_numbers
from proxy.installation import Installation, lock_installation, now_ms, open_queue, require_c_parser
from proxy.model.probe import ProbeKeys
from proxy.operator.install_check import InstallCheckApi
from proxy.operator.listener import Operator
from proxy.operator.operator_context import OperatorContext
from proxy.queue.contract import Intake, WholeQueue
from proxy.queue.sieve import Sieve
from proxy.rules import tables
from proxy.rules.request.routes import Door
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.faults import FaultReporter
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.queue_watch import QueueWatch
from proxy.telemetry.readiness import Check, QueueCheck, Readiness
from proxy.telemetry.tallies import TallyCollector
from proxy.watch.start import watching


class Running(NamedTuple):
    """A running proxy: its addresses and its queue."""

    public: Address
    operator: Address
    queue: WholeQueue
    broken: asyncio.Future[None]
    """Fails when the queue must not be trusted any more; the process should end."""


class Parts(NamedTuple):
    """What the listeners and the lanes of a process share."""

    installation: Installation
    queue: WholeQueue
    metrics: Metrics
    conditions: Conditions


@asynccontextmanager
async def run_proxy(config: Config) -> AsyncIterator[Running]:
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
        installation = stack.enter_context(lock_installation(config))
        watch = QueueWatch()
        parts = await open_parts(stack, installation, watch)
        at_work = await stack.enter_async_context(deliver_events(parts))
        operator = await listen_to_operator(stack, parts, at_work)
        public_parts = PublicParts(installation, parts.queue, parts.metrics, parts.conditions, at_work.lanes.wakes)
        public, public_address = await listen_to_public(stack, public_parts, installation.settings.limits)
        yield Running(public_address, operator, parts.queue, watch.broken)
        public.stop_accepting()


async def open_parts(
    stack: AsyncExitStack, installation: Installation, watch: QueueWatch, sieve: Sieve | None = None
) -> Parts:
    """Open the queue, and return the parts of the process that owns it; the queue closes when the stack unwinds.

    Args:
        stack: Closes everything that the process opens.
        installation: The installation, locked for this process.
        watch: Is told when the queue breaks.
        sieve: The filter of suppressed persons to fill, when its memory is shared with other processes.

    Raises:
        QueueBrokenError: when the queue cannot be opened.
    """
    metrics, conditions = Metrics(__version__), Conditions(now_ms)
    report_faults(stack, FaultReporter(conditions, metrics))
    queue = await open_queue(installation, now_ms, on_broken=watch.on_broken, conditions=conditions, sieve=sieve)
    stack.push_async_callback(queue.close)
    return Parts(installation, queue, metrics, conditions)


async def wait_until_stopped(stop: asyncio.Event, broken: asyncio.Future[None]) -> None:
    """Wait until ``stop`` is set or the queue breaks; raise the queue's error, which ends the process, if it broke."""
    stopped = asyncio.create_task(stop.wait())
    ends: set[asyncio.Future[Any]] = {stopped, broken}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if broken.done():
        broken.result()


def report_faults(stack: AsyncExitStack, faults: FaultReporter) -> None:
    """Report the errors that the event loop would only log, until the stack unwinds."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(faults.handle_loop_error)
    stack.callback(loop.set_exception_handler, None)


def deliver_events(parts: Parts) -> AbstractAsyncContextManager[Delivery]:
    """Return a context manager that delivers events until its context ends."""
    installation, queue, metrics, conditions = parts
    pixels, graph, chance = installation.pixels(), installation.settings.graph, secrets.SystemRandom().random
    return run_delivery(pixels, graph, queue=queue, metrics=metrics, conditions=conditions, now=now_ms, chance=chance)


async def listen_to_operator(
    stack: AsyncExitStack, parts: Parts, delivery: Delivery, checks: Sequence[Check] = ()
) -> Address:
    """Serve the operator's listener until the stack unwinds; return the address that it listens on.

    Args:
        stack: Closes everything that the process opens.
        parts: The parts whose state is shown.
        delivery: The delivery, whose state is shown and which takes the operator's orders.
        checks: Readiness checks besides those of the queue and the lanes.

    Raises:
        OSError: when the address cannot be listened on.
    """
    installation, queue, metrics, conditions = parts
    settings, lanes = installation.settings, delivery.lanes
    install_check = InstallCheckApi(installation.install_checks(), settings.site, installation.prefixes, now_ms)
    late = LatenessCheck(lanes, queue=queue, conditions=conditions, now=now_ms)
    readiness = Readiness(conditions, [QueueCheck(queue, conditions), late, *checks])
    directory = installation.config.data_dir
    await stack.enter_async_context(watching(settings, directory, queue=queue, board=conditions, now=now_ms))
    alerter = await stack.enter_async_context(
        alerting(
            settings,
            directory,
            readiness.conditions,
            readiness.known_conditions,
            queue=queue,
            board=conditions,
            now=now_ms,
        )
    )
    shown = OperatorContext(
        password=settings.server.operator_password.get_secret_value(),
        queue=queue,
        metrics=metrics,
        lanes=lanes,
        orders=delivery.orders,
        tokens=delivery.tokens,
        conditions=conditions,
        readiness=readiness,
        alerter=alerter,
        now=now_ms,
        examine=lambda: examination_report(installation.config),
        sites=settings.site,
        prefixes={site.name: installation.prefixes(site)[0] for site in settings.site},
        person_keys=installation.person_keys(),
        parts=[install_check],
    )
    tallies = TallyCollector(metrics.tallies, queue, now_ms)
    await stack.enter_async_context(tallies.collect_periodically())
    terms = Terms("operator", few_connections(installation.settings.limits), conditions, metrics)
    return await listen(stack, Operator(shown).app(), settings.server.operator_listen, terms)


async def examination_report(config: Config) -> Mapping[str, Any]:
    """Return the report of an examination of the proxy that runs in this process."""
    from proxy import doctor  # noqa: PLC0415 - its modules are loaded only when the report is asked for

    return doctor.report_json(await doctor.examine(config, doctor.ExaminationOptions(is_own=True)))


class PublicParts(NamedTuple):
    """What a public listener works with."""

    installation: Installation
    queue: Intake
    metrics: Metrics
    conditions: Conditions
    wakes: Mapping[str, Callable[[], None]]
    """By pixel, the function that tells its lane of a new event; no entry where the lane is in another process."""
    has_writer: bool = True
    """Whether the queue's writer thread is in this process."""


def probe_door(installation: Installation) -> ProbeDoor:
    """Return the door at which the doctor asks what this proxy sees of a request."""
    sites = installation.settings.site
    prefixes = [installation.prefixes(site)[0] for site in sites]
    return ProbeDoor(ProbeKeys(installation.secret), prefixes, sites, now=now_ms, version=__version__)


async def listen_to_public(
    stack: AsyncExitStack, public_parts: PublicParts, limits: LimitSettings, sockets: Sequence[socket.socket] = ()
) -> tuple[PublicRouter, Address]:
    """Serve the public listener until the stack unwinds; return its doors and the address that it listens on.

    Args:
        stack: Closes everything that the process opens.
        public_parts: What the listener works with.
        limits: What one client may take of this process.
        sockets: Sockets that listen already and that another process keeps open; empty: the listener opens its own.

    Raises:
        OSError: when the address cannot be listened on.
    """
    installation, queue, metrics, conditions, wakes, has_writer = public_parts
    settings, trusted = installation.settings, installation.trusted_networks()
    server, limits = settings.server, affordable_limits(limits, conditions)
    routes, policies, checks = installation.routes(), installation.policies(), installation.install_checks()
    entry = PublicConfig(routes, policies, settings.site, trusted, server.forwarding_header, checks)
    public = PublicRouter(
        entry,
        limits,
        probe=probe_door(installation),
        queue=queue,
        metrics=metrics,
        conditions=conditions,
        wakes=wakes,
        now=now_ms,
        clock_ns=time.time_ns,
        random_numbers=random_numbers(),
        gives_way=has_writer,
    )
    fast = FastWay(PlainPosts(entry.routes.paths(Door.COLLECT)), public.answer) if server.fast_ingest else None
    terms = Terms("public", limits, conditions, metrics, trusted, server.proxy_protocol, fast, sockets)
    address = await listen(stack, application(public.answer), server.listen, terms, drain=public.drain)
    return public, address
