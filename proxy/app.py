"""The only file that wires: constructs every part, orders their lifetimes, closes in reverse.

Order: tables of the rules → lock of data_dir → queue → client session → lanes → listeners. So on stop the listeners
finish their requests while the queue still takes them, the lanes finish their attempts while the queue still settles,
and the queue closes last.
"""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp.http_parser

from proxy.config.address import Address
from proxy.config.load import Config
from proxy.config.schema import Pixel, Settings, Site
from proxy.delivery.client import GraphClient, graph_session
from proxy.delivery.expiry import Expiry
from proxy.delivery.lane import Lane
from proxy.delivery.lanes import Lanes
from proxy.delivery.lateness import LatenessCheck
from proxy.edge.admission import Admission
from proxy.edge.collect import CollectDoor
from proxy.edge.image import ImageDoor
from proxy.edge.net.connections import Terms
from proxy.edge.net.descriptors import affordable
from proxy.edge.net.listener import listen
from proxy.edge.public import Entry, Public
from proxy.edge.reading import RequestReader
from proxy.edge.storing import DecisionStore
from proxy.edge.tag.build import tag_of
from proxy.edge.turns import Turns
from proxy.model.keys import person_key, prefix_of
from proxy.operator.listener import Operator
from proxy.queue.contract import QueueBrokenError
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.engine import DataDirLock, LocalQueue
from proxy.rules import tables
from proxy.rules.identity.visitor_cookie import VisitorCookieKeys
from proxy.rules.policy import Policy
from proxy.rules.request.client_address import Networks
from proxy.rules.request.routes import Routes
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.faults import FaultReporter
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.readiness import QueueCheck, Readiness

log = logging.getLogger(__name__)

SECRET_FILE = "secret"  # noqa: S105 - a file name
_GRACE_S = 10.0
_OPERATOR_CONNECTIONS = 64


class UnsafeInstallationError(Exception):
    """This Python cannot run the proxy safely; the text says what to install."""


@dataclass(frozen=True, slots=True)
class Running:
    """A proxy at work."""

    public: Address
    operator: Address
    queue: LocalQueue
    broken: asyncio.Future[None]
    """Fails when the queue must not be trusted any more; the process should end."""


def require_c_parser() -> None:
    """Refuse to run on aiohttp's pure Python parser, which several request-smuggling defects were only found in.

    Raises:
        UnsafeInstallationError: when the C parser is missing.
    """
    if not hasattr(aiohttp.http_parser, "HttpRequestParserC"):
        raise UnsafeInstallationError("aiohttp was installed without its C parser: install its wheel for this platform")


def existing_secret(settings: Settings, data_dir: Path) -> str:
    """Return the configured secret, or the one kept in ``data_dir``; empty when there is none yet."""
    if configured := settings.server.secret.get_secret_value():
        return configured
    path = data_dir / SECRET_FILE
    return path.read_text().strip() if path.exists() else ""


def installation_secret(settings: Settings, data_dir: Path) -> str:
    """Return the existing secret, or make one in ``data_dir``."""
    if secret := existing_secret(settings, data_dir):
        return secret
    path = data_dir / SECRET_FILE
    log.warning("server.secret is not set: one was made in %s; keep it with your backups", path)
    secret = secrets.token_hex(32)
    _write_secret(path, secret)
    return secret


def _write_secret(path: Path, secret: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def prefixes(settings: Settings, secret: str, site: Site) -> list[str]:
    """Return the prefix of a site, then those that old secrets gave it."""
    if site.prefix:
        return [site.prefix]
    secrets_ = [secret, *(old.get_secret_value() for old in settings.server.old_secrets)]
    return [prefix_of(one, site.name) for one in secrets_]


def person_keys(settings: Settings, secret: str) -> list[bytes]:
    """Return the keys of people's digests, the current one first."""
    return [person_key(one) for one in (secret, *(old.get_secret_value() for old in settings.server.old_secrets))]


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Running]:
    """Run the proxy of a configuration until the context ends, then stop it in order.

    Raises:
        DataDirBusyError: when another process works in data_dir.
        QueueBrokenError: when the queue cannot be opened.
        OSError: when an address cannot be listened on.
    """
    require_c_parser()
    tables.prepare()
    settings = config.settings
    async with AsyncExitStack() as stack:
        lock = DataDirLock(config.data_dir)
        stack.callback(lock.close)
        secret = installation_secret(settings, config.data_dir)
        loop = asyncio.get_running_loop()
        broken: asyncio.Future[None] = loop.create_future()
        metrics, conditions = Metrics(), Conditions(now_ms)
        loop.set_exception_handler(FaultReporter(conditions, metrics).in_loop)
        stack.callback(loop.set_exception_handler, None)
        queue = open_queue(config, secret, broken, conditions)
        stack.push_async_callback(queue.close)
        session = await stack.enter_async_context(graph_session(settings.graph.timeout))
        graph = GraphClient(session, settings.graph, now_ms, conditions)
        lanes = Lanes(_lanes(settings, queue, graph, metrics, conditions))
        lanes.start()
        stack.push_async_callback(lanes.stop, _GRACE_S)
        expiry = Expiry(lanes, queue=queue, metrics=metrics, conditions=conditions, now=now_ms)
        stack.push_async_callback(_cancelled, asyncio.create_task(expiry.run(), name="expiry"))
        limits = settings.limits.model_copy(update={"connections": affordable(settings.limits.connections, conditions)})
        admission = Admission(
            limits, fullness=queue.fullness, clock=time.monotonic, conditions=conditions, metrics=metrics
        )
        entry = _entry(settings, secret)
        turns = Turns()
        reader = RequestReader(turns, now=now_ms, entropy=_entropy)
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
        lateness = LatenessCheck(lanes, queue=queue, conditions=conditions, now=now_ms)
        operator = Operator(
            settings.server.operator_password.get_secret_value(),
            queue=queue,
            metrics=metrics,
            lanes=lanes,
            conditions=conditions,
            readiness=Readiness(conditions, [QueueCheck(queue, conditions), lateness]),
            now=now_ms,
            person_keys=person_keys(settings, secret),
        )
        few = limits.model_copy(
            update={"connections": _OPERATOR_CONNECTIONS, "connections_per_address": _OPERATOR_CONNECTIONS + 1}
        )
        operator_terms = Terms("operator", few, conditions, metrics)
        public_terms = Terms("public", limits, conditions, metrics, entry.trusted, settings.server.proxy_protocol)
        operator_address = await listen(stack, operator.app(), settings.server.operator_listen, operator_terms)
        public_address = await listen(stack, public.app(), settings.server.listen, public_terms, drain=public.drain)
        yield Running(public_address, operator_address, queue, broken)
        public.accepting = False


def open_queue(
    config: Config,
    secret: str,
    broken: asyncio.Future[None] | None = None,
    conditions: Conditions | None = None,
) -> LocalQueue:
    """Open the queue of a locked data_dir.

    Args:
        config: Says where it is, and how much it may hold.
        secret: The installation's.
        broken: Fails when the queue must not be trusted any more.
        conditions: Where the queue reports what is wrong with it.

    Raises:
        QueueBrokenError: when it cannot be opened.
    """

    def on_broken(error: QueueBrokenError) -> None:
        if broken is not None and not broken.done():
            broken.set_exception(error)

    old = [one.get_secret_value() for one in config.settings.server.old_secrets]
    return LocalQueue.open(
        config.data_dir,
        Sealer(secret, old),
        limits=config.settings.queue,
        retention=config.settings.retention,
        now=now_ms,
        on_broken=on_broken,
        conditions=conditions,
    )


def _lanes(
    settings: Settings, queue: LocalQueue, graph: GraphClient, metrics: Metrics, conditions: Conditions
) -> list[Lane]:
    pixels: dict[str, Pixel] = {pixel.id: pixel for site in settings.site for pixel in site.pixel}
    chance = secrets.SystemRandom().random
    return [
        Lane(pixel, queue=queue, graph=graph, metrics=metrics, conditions=conditions, now=now_ms, chance=chance)
        for pixel in pixels.values()
    ]


def _entry(settings: Settings, secret: str) -> Entry:
    old = [one.get_secret_value() for one in settings.server.old_secrets]
    keys, person_digests = VisitorCookieKeys(secret, old), person_keys(settings, secret)
    trusted = Networks(settings.server.trusted_proxies)
    return Entry(
        routes=Routes((site, prefixes(settings, secret, site)) for site in settings.site),
        policies={site.name: Policy(site, keys, person_digests) for site in settings.site},
        tags={site.name: tag_of(site) for site in settings.site},
        sites=settings.site,
        trusted=trusted,
        client_ip_header=settings.server.forwarding_header,
    )


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def now_ms() -> int:
    """Return the server's clock in milliseconds."""
    return time.time_ns() // 1_000_000


def _entropy() -> int:
    return secrets.randbits(128)
